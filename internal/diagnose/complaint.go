package diagnose

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// complaints are the places where an answer's own words say that not all is well, with those words: in JSON the status of
// the whole, or the parts that are known by name, in plain text a word that stands alone. Nothing is read into other
// words: what a trend, a job or a monitored site says of itself is no complaint of who answers. Where the whole is called
// well, a part is taken for one that may be down, but for the database, which nobody means to do without.
func complaints(c *kase) []string {
	text := strings.TrimSpace(c.content())
	if plain := strings.ToLower(strings.Trim(text, `"'.`)); c.kind() != "text/html" && slices.Contains(downWords, plain) {
		return []string{"the content is " + text}
	}
	if !strings.HasPrefix(text, "{") {
		return nil
	}
	var document map[string]any
	if json.Unmarshal([]byte(text), &document) != nil { // also where only its beginning was kept
		return nil
	}
	found := complaintOfGraphQL(document)
	if slices.ContainsFunc(slices.Collect(maps.Keys(document)), isOfRecord) {
		return found
	}
	well := callsItselfWell(document)
	if !well {
		found = append(found, complaintsOfWhole(document)...)
	}
	found = append(found, complaintsOfParts(document, "", well, 0)...)
	const most = 4
	return found[:min(len(found), most)]
}

const (
	mostLevels = 4 // of a document: {"components":{"db":{"details":{"status":…}}}}
	mostItems  = 100
)

// The words, in lower case. A word of downWords says the same of whatever is asked; those of badWords are also said of
// jobs, backups and requests.
var (
	wellWords = []string{"ok", "okay", "up", "pass", "passing", "passed", "healthy", "good", "green", "ready", "running", "alive", "live", "success", "serving", "available", "operational", "online", "active", "200"}
	downWords = []string{"down", "unhealthy", "degraded", "out_of_service", "not ok", "not_ok", "not ready", "not_ready"}
	badWords  = []string{"fail", "failed", "failing", "error", "critical", "dead", "unavailable", "disconnected", "unreachable"}

	statusNames = []string{"status", "health"}
	truthNames  = []string{"ok", "healthy", "is_healthy", "ishealthy"}
	databases   = []string{"db", "database", "postgres", "postgresql", "mysql", "mongo", "mongodb"}
	partNames   = append(databases[:len(databases):len(databases)], "redis", "cache", "queue", "broker", "rabbitmq", "kafka", "elasticsearch")

	// What holds the health of parts, by the names of Spring Boot, ASP.NET, MicroProfile, NestJS and the draft of
	// application/health+json. What holds data of any kind ("data", "services", "results") is not looked into.
	partsNames = []string{"components", "details", "checks", "entries", "dependencies", "health", "status"}

	// Members of a record of something else: a job, an event, a site that is monitored.
	recordNames = []string{"id", "type", "kind", "event", "job", "url", "button", "device", "monitor"}
)

func isOfRecord(name string) bool { return slices.Contains(recordNames, strings.ToLower(name)) }

// wordOf is a value that is a text, in lower case; "" of any other.
func wordOf(value any) string {
	text, _ := value.(string)
	return strings.ToLower(strings.TrimSpace(text))
}

// callsItselfWell reports whether a document says of the whole that it is well.
func callsItselfWell(document map[string]any) bool {
	for name, value := range document {
		name = strings.ToLower(name)
		isStatus, isTruth := slices.Contains(statusNames, name), slices.Contains(truthNames, name)
		switch value := value.(type) {
		case string:
			if (isStatus || isTruth) && slices.Contains(wellWords, wordOf(value)) {
				return true
			}
		case bool:
			if (isStatus || isTruth) && value {
				return true
			}
		case float64:
			if isStatus && value == 200 {
				return true
			}
		case map[string]any:
			if isStatus && callsItselfWell(value) {
				return true
			}
		}
	}
	return false
}

// complaintsOfWhole are the members that say of the whole that it is not well.
func complaintsOfWhole(document map[string]any) (found []string) {
	if _, elastic := document["cluster_name"]; elastic && document["status"] == "red" {
		return []string{`status: "red"`}
	}
	for _, name := range slices.Sorted(maps.Keys(document)) {
		value, lower := document[name], strings.ToLower(name)
		switch word := wordOf(value); {
		case slices.Contains(statusNames, lower) && (slices.Contains(downWords, word) || slices.Contains(badWords, word)):
			found = append(found, name+": "+shownValue(value))
		case slices.Contains(truthNames, lower) && value == false:
			found = append(found, name+": false")
		}
	}
	return found
}

// complaintsOfParts looks for the known parts in an object and in the members that hold them. well is whether the whole
// is said to be well.
func complaintsOfParts(object map[string]any, at string, well bool, level int) (found []string) {
	if level > mostLevels {
		return nil
	}
	names := slices.Sorted(maps.Keys(object))
	for _, name := range names[:min(len(names), mostItems)] {
		value, place, lower := object[name], at+name, strings.ToLower(name)
		inner, isObject := value.(map[string]any)
		switch {
		case slices.Contains(partsNames, lower) && isObject:
			found = append(found, complaintsOfParts(inner, place+".", well, level+1)...)
		case slices.Contains(databases, lower) || !well && slices.Contains(partNames, lower):
			found = append(found, complaintOfPart(value, place, well)...)
		}
	}
	return found
}

// complaintOfPart is what a part says of itself.
func complaintOfPart(value any, place string, well bool) []string {
	if inner, isObject := value.(map[string]any); isObject {
		for _, name := range append(statusNames[:len(statusNames):len(statusNames)], "state") {
			if said, has := inner[name]; has {
				value, place = said, place+"."+name
				break
			}
		}
	}
	word := wordOf(value)
	if slices.Contains(downWords, word) || !well && slices.Contains(badWords, word) {
		return []string{place + ": " + shownValue(value)}
	}
	return nil
}

// complaintOfGraphQL is the first error of an answer that has nothing else (GraphQL's specification, section 7.1).
func complaintOfGraphQL(document map[string]any) []string {
	for name, value := range document {
		if name != "errors" && name != "extensions" && (name != "data" || value != nil) {
			return nil
		}
	}
	list, _ := document["errors"].([]any)
	if len(list) == 0 {
		return nil
	}
	object, _ := list[0].(map[string]any)
	message, isText := object["message"].(string)
	if !isText {
		return nil
	}
	return []string{"errors: " + shownValue(message)}
}

// shownValue is a value of the target's, in quotation marks and not at any length.
func shownValue(v any) string {
	const most = 80
	runes := []rune(fmt.Sprint(v))
	if len(runes) > most {
		runes = append(runes[:most-1:most-1], '…')
	}
	return fmt.Sprintf("%q", string(runes))
}
