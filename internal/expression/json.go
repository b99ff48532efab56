package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// Bounds of the JSON that is parsed. encoding/json has one of its own for the depth, 10000, which is far more than anybody
// means and more than CEL's recursion should follow.
const (
	maxDepth  = 64
	maxValues = 20_000 // each costs up to 200 bytes of memory and 200 ns
)

// parseJSON parses a body: nil, bool, int64, uint64, float64, string, []any, map[string]any. The error is a sentence.
func parseJSON(body []byte) (any, error) {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && !bytes.ContainsRune([]byte(`{["-0123456789tfn`), rune(trimmed[0])) {
		return nil, notJSON(body, nil) // HTML with many commas is no big JSON
	}
	if err := measureJSON(body); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, notJSON(body, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, unusablef("the body is not JSON: more comes after its end, at byte %d; it begins with %s", d.InputOffset(), beginning(body))
	}
	return withNumbers(value), nil
}

// measureJSON looks for depth and number of values before anything is allocated for them. Of what is not JSON it says nothing.
func measureJSON(body []byte) error {
	depth, values := 0, 1
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			for i++; i < len(body) && body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
			values++
		case ']', '}':
			depth--
		case ',', ':':
			values++
		}
		if depth > maxDepth {
			return unusablef("the body's JSON is nested more than %d deep", maxDepth)
		}
		if values > maxValues {
			return unusablef("the body's JSON has more than %d values", maxValues)
		}
	}
	return nil
}

func notJSON(body []byte, err error) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return unusable("the body is not JSON: it is empty")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return unusablef("the body is not JSON: it stops in the middle, after the %d bytes that were read; it begins with %s", len(body), beginning(body))
	}
	return unusablef("the body is not JSON: it begins with %s", beginning(body))
}

// beginning quotes the first bytes of a body.
func beginning(body []byte) string {
	const enough = 40
	if len(body) <= enough {
		return strconv.Quote(string(body))
	}
	cut := enough
	for cut > enough-utf8.UTFMax && !utf8.RuneStart(body[cut]) {
		cut--
	}
	return strconv.Quote(string(body[:cut])) + "…"
}

// withNumbers replaces the numbers of what was parsed, in place, by what CEL knows.
func withNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		return number(v.String())
	case []any:
		for i := range v {
			v[i] = withNumbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = withNumbers(v[k])
		}
	}
	return value
}

// number keeps a whole number exact if 64 bits hold it; everything else is a double, and infinite beyond that.
func number(s string) any {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n
	}
	// The decoder has checked the syntax: the only error left is that it is out of range, and the value is then ±Inf.
	f, _ := strconv.ParseFloat(s, 64)
	return f
}
