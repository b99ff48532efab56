package control

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/dialect"
)

// TestDocumentSchema keeps docs/triage.schema.json, which editors read, equal to the tables of keys.
func TestDocumentSchema(t *testing.T) {
	target := object(targetKeys, nil)
	target["required"] = []string{"address"}
	group := object(groupKeys, map[string]any{
		"health_check": object(healthCheckKeys, nil),
		"targets":      listOf(map[string]any{"anyOf": []any{kindSchema("text"), target}}),
	})
	group["required"] = []string{"name"}
	listener := object(listenerKeys, map[string]any{"default": object(actionKeys, nil)})
	listener["required"] = []string{"name", "listen", "default"}
	schema := object(fileKeys, map[string]any{
		"admin":         object(adminKeys, nil),
		"listeners":     listOf(listener),
		"groups":        listOf(group),
		"allow_targets": listOf(kindSchema("text")),
	})
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	for _, key := range []string{"listeners", "groups"} {
		schema["properties"].(map[string]any)[key].(map[string]any)["minItems"] = 1
	}
	schema["required"] = []string{"listeners", "groups"}
	schema["title"] = "triage.yaml"

	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(schema); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "triage.schema.json")
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the keys say (%v): run make generate", path, err)
	}
}

// object is the schema of a mapping with these keys; nested has those that are not scalars.
func object[T any](keys []key[T], nested map[string]any) map[string]any {
	properties := map[string]any{}
	for _, k := range keys {
		s, ok := nested[k.name].(map[string]any)
		if !ok {
			s = kindSchema(k.kind)
		}
		s["description"] = k.doc
		properties[k.name] = s
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

func listOf(items any) map[string]any { return map[string]any{"type": "array", "items": items} }

// kindSchema is the schema of a scalar. Any may be a ${NAME} of the environment instead, or hold one.
func kindSchema(kind string) map[string]any {
	variable := func(s map[string]any) map[string]any {
		return map[string]any{"anyOf": []any{s, map[string]any{"type": "string", "pattern": `\$\{[^}]+\}`}}}
	}
	switch kind {
	case "number":
		return variable(map[string]any{"type": "integer"})
	case "boolean":
		return variable(map[string]any{"type": "boolean"})
	case "duration":
		return variable(map[string]any{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`})
	case "protocol":
		return variable(map[string]any{"enum": append(words(triage.Protocols()), "ssl")})
	case "tls_version":
		return variable(map[string]any{"enum": []any{"1.0", "1.1", "1.2", "1.3", 1.0, 1.1, 1.2, 1.3}})
	case "proxy_protocol":
		return variable(map[string]any{"enum": []string{"v1", "v2"}})
	case "dialect":
		var names []string
		for _, spec := range dialect.All() {
			names = append(append(names, string(spec.Name)), spec.Aliases...)
		}
		return variable(map[string]any{"enum": names})
	case "none_healthy":
		return variable(map[string]any{"enum": []any{"fail-open", "503", 503}})
	case "text", "codes", "port":
		return map[string]any{"type": []string{"string", "integer"}}
	}
	panic("no schema for a " + kind)
}
