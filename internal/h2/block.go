package h2

import (
	"bytes"
	"errors"
	"strconv"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/triage-lb/triage/internal/http1"
)

// tableSize is the initial size of HPACK's dynamic table (RFC 9113 section 6.5.2): ours, since we ask for no other.
const tableSize = 4096

// block is a header block: what HEADERS and the CONTINUATION after it carry.
type block struct {
	decoder  *hpack.Decoder
	open     bool // it has begun, and not ended
	end      bool // it ends the stream
	trailers bool
	regular  bool // a field that is no pseudo-header field has come
	size     int  // bytes, as sent
	list     int  // bytes, as counted in RFC 9113 section 6.5.2
	status   int  // of :status; 0 if it has not come
	fields   []http1.Field
	text     []byte // where their names and values are
	fault    *Error
}

// reset makes the block ready for another connection, which begins with an empty table.
func (b *block) reset() {
	if b.open {
		b.decoder = nil
	}
	if b.decoder == nil {
		b.decoder = hpack.NewDecoder(tableSize, b.emit)
		b.decoder.SetMaxStringLength(maxList)
	}
	b.decoder.SetMaxDynamicTableSize(0)
	b.decoder.SetMaxDynamicTableSize(tableSize)
	b.begin(false, false)
	b.open = false
}

// settle lets go of what a call that is over has taken beyond maxSpare. A decoder that was stopped inside a block cannot be
// used again, and may hold much of it.
func (b *block) settle() {
	if b.open {
		b.decoder = nil
	}
	b.text = spare(b.text)
	if cap(b.fields) > maxSpare/64 {
		b.fields = nil
	}
	b.fault = nil
}

func (b *block) begin(trailers, end bool) {
	*b = block{decoder: b.decoder, open: true, end: end, trailers: trailers, fields: b.fields[:0], text: b.text[:0]}
	b.decoder.SetEmitEnabled(true)
}

// headers begins a header block.
func (c *Call) headers(f *http2.HeadersFrame) (Event, *Error) {
	trailers := c.stage != beforeHead
	if trailers && !f.StreamEnded() {
		return Event{}, malformed("trailers that do not end the answer")
	}
	c.block.begin(trailers, f.StreamEnded())
	return c.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
}

// fragment takes a part of a header block, and gives the event of one that is complete.
func (c *Call) fragment(part []byte, last bool) (Event, *Error) {
	b := &c.block
	if err := b.decode(part); err != nil || !last {
		return Event{}, err
	}
	if b.decoder.Close() != nil {
		return Event{}, malformed("a header block that ends inside a field")
	}
	b.open = false
	switch {
	case b.trailers:
		c.ending = true
		return Event{Kind: Trailers, Fields: b.fields}, nil
	case b.status == 0:
		return Event{}, malformed("a head without :status")
	case b.status < 200:
		return c.interimHead()
	}
	return c.finalHead()
}

func (c *Call) interimHead() (Event, *Error) {
	c.interim++
	switch b := &c.block; {
	case b.end:
		return Event{}, malformed("an interim answer (%d) that ends the stream", b.status)
	case b.status == 101: // RFC 9113 section 8.6
		return Event{}, malformed("status 101, which HTTP/2 does not have")
	case c.interim > maxInterim:
		return Event{}, malformed("more than %d interim answers (%d)", maxInterim, b.status)
	default:
		return Event{Kind: Interim, Status: b.status, Fields: b.fields}, nil
	}
}

func (c *Call) finalHead() (Event, *Error) {
	b := &c.block
	var err *Error
	if c.length, err = contentLength(b.fields); err != nil {
		return Event{}, err
	}
	c.bodiless = c.head || b.status == 204 || b.status == 304
	c.stage, c.ending = inContent, b.end
	return Event{Kind: Head, Status: b.status, Fields: b.fields}, nil
}

// contentLength is what the fields say about the content; -1 if they do not. Several that agree count as one, as in http1.
func contentLength(fields []http1.Field) (int64, *Error) {
	length, text, found := int64(-1), []byte(nil), false
	for _, f := range fields {
		if string(f.Name) != "content-length" {
			continue
		}
		if found && !bytes.Equal(text, f.Value) {
			return 0, malformed("two different content-length values")
		}
		n, err := strconv.ParseUint(string(f.Value), 10, 63)
		if err != nil {
			return 0, malformed("content-length %.40q is not a number of bytes", f.Value)
		}
		length, text, found = int64(n), f.Value, true
	}
	return length, nil
}

// decode decodes a part of the block.
func (b *block) decode(part []byte) *Error {
	if b.size += len(part); b.size > maxBlock {
		return tooLarge("%s of more than %d bytes", b.name(), maxBlock)
	}
	_, err := b.decoder.Write(part)
	switch {
	case b.fault != nil:
		return b.fault
	case errors.Is(err, hpack.ErrStringLength):
		return tooLarge("%s with a field of more than %d bytes", b.name(), maxList)
	case err != nil:
		return malformed("%s that HPACK cannot decode: %v", b.name(), err)
	}
	return nil
}

// name is what the block is, for people.
func (b *block) name() string {
	if b.trailers {
		return "trailers"
	}
	return "a head"
}

// emit takes a field from the decoder.
func (b *block) emit(f hpack.HeaderField) {
	if b.fault = b.add(f); b.fault != nil {
		b.decoder.SetEmitEnabled(false) // the rest of this part is decoded for nobody
	}
}

func (b *block) add(f hpack.HeaderField) *Error {
	b.list += int(f.Size())
	switch {
	case b.list > maxList:
		return tooLarge("%s of more than %d bytes", b.name(), maxList)
	case f.IsPseudo():
		return b.pseudo(f)
	case len(b.fields) == maxFields:
		return tooLarge("%s of more than %d fields", b.name(), maxFields)
	}
	b.regular = true
	if what := fieldFault(f); what != "" {
		return malformed("field %.40q %s", f.Name, what)
	}
	at := len(b.text)
	b.text = append(append(b.text, f.Name...), f.Value...)
	colon, end := at+len(f.Name), len(b.text)
	b.fields = append(b.fields, http1.Field{
		Name: b.text[at:colon:colon],
		// x/net's client lets white space around a value pass, which RFC 9113 section 8.2.1 forbids and applications send.
		Value: bytes.Trim(b.text[colon:end:end], " \t"),
	})
	return nil
}

// pseudo takes a pseudo-header field. An answer has one, and before all other fields (RFC 9113 section 8.3).
func (b *block) pseudo(f hpack.HeaderField) *Error {
	switch {
	case b.trailers:
		return malformed("%.40q in trailers", f.Name)
	case f.Name != ":status":
		return malformed("%.40q in an answer", f.Name)
	case b.regular:
		return malformed(":status after other fields")
	case b.status != 0:
		return malformed(":status twice")
	}
	n, err := strconv.ParseUint(f.Value, 10, 16)
	if err != nil || len(f.Value) != 3 || n < 100 {
		return malformed(":status is %.40q, not a number from 100 to 999", f.Value)
	}
	b.status = int(n)
	return nil
}

// fieldFault says what is wrong with a field (RFC 9113 section 8.2): "" if nothing is.
func fieldFault(f hpack.HeaderField) string {
	if f.Name == "" {
		return "has no name"
	}
	for _, c := range f.Name {
		switch {
		case 'A' <= c && c <= 'Z':
			return "is not in lower case"
		case !httpguts.IsTokenRune(c):
			return "has a byte that names cannot have"
		}
	}
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return "is about a connection, and HTTP/2 has no place for it"
	}
	if !httpguts.ValidHeaderFieldValue(f.Value) {
		return "has a byte in its value that values cannot have"
	}
	return ""
}
