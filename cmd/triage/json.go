package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// exactText gives bytes as a JSON string where that keeps every one of them, else in base64.
func exactText(b []byte) (text, encoded *string) {
	s := string(b)
	if utf8.Valid(b) {
		return &s, nil
	}
	s = base64.StdEncoding.EncodeToString(b)
	return nil, &s
}

// printJSON prints one object for machines, over several lines.
func printJSON(w io.Writer, v any) error { return writeJSON(w, v, "  ") }

// writeJSON prints one object; without indent it takes one line. It may be read on a terminal all the same, so
// nothing in it can act on one.
func writeJSON(w io.Writer, v any, indent string) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(asciiJSON(text.Bytes()))
	return err
}

// asciiJSON escapes what JSON need not escape and a terminal may act on: DEL, the C1 controls, and all else
// beyond ASCII. The result means the same.
func asciiJSON(text []byte) []byte {
	var out []byte
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		switch {
		case c < 0x7f:
			out = append(out, text[:size]...)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
		text = text[size:]
	}
	return out
}

// asciiWriter writes JSON, or text whose quoting is Go's, in ASCII. Each Write is whole lines.
type asciiWriter struct{ w io.Writer }

func (a asciiWriter) Write(text []byte) (int, error) {
	if _, err := a.w.Write(asciiJSON(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}
