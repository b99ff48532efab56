package http1

import "errors"

// ErrTruncated says that a connection ended in the middle of a message's content.
var ErrTruncated = errors.New("the connection ended before the content was complete")

// What a chunked body may spend on bytes that are not content. All are within what net/http allows.
const (
	maxChunkDigits  = 15       // of a chunk size: chunks below 1 EiB
	maxChunkLine    = 1 << 10  // bytes of a chunk-size line with its extensions
	maxChunkExcess  = 16 << 10 // bytes, see Body.excess
	maxTrailerBytes = 4 << 10  // bytes of all trailers together, the final empty line included
)

// Body takes the content of a message out of the bytes that follow its head, in pieces as they
// come. It keeps its place in a few numbers and buffers nothing, so bytes may be cut anywhere. The
// zero Body is one without content. A Body belongs to one goroutine.
//
// Chunked content (RFC 9112 section 7.1) is read strictly: lines end in CRLF, the size is
// hexadecimal digits and is followed by CRLF or ";" at once. Extensions and trailers must be free
// of control bytes, trailers must be proper header lines; both are bounded and dropped.
type Body struct {
	state  bodyState
	digits uint8  // of the chunk size, so far
	line   uint16 // bytes of the chunk-size line or of the trailers, so far
	left   int64  // content bytes to come in this chunk, or in all; while its line is read: the size so far
	read   int64  // bytes consumed altogether

	// excess counts the bytes of chunk lines that exceed what content justifies, 16 bytes per chunk
	// and twice the content, so that long extensions on tiny chunks come to an end while an upload
	// with a signature in every chunk does not (net/http's rule).
	excess int64
	err    error // final
}

type bodyState uint8

const (
	stateDone       bodyState = iota
	stateLength               // in content of known length
	stateUntilClose           // in content that ends with the connection
	stateSize                 // in the digits of a chunk size
	stateExtension            // between ";" and CR
	stateSizeLF               // LF due after a chunk-size line
	stateData                 // in a chunk's content
	stateDataCR               // CR due after it
	stateDataLF               // LF due after that
	stateTrailer              // at the start of a trailer line, or of the final empty line
	stateTrailerName
	stateTrailerValue
	stateTrailerLF // LF due after a trailer line
	stateFinalLF   // LF due after everything
)

// NewBody returns a Body for content that is delimited as f says.
func NewBody(f Framing) Body {
	switch {
	case f.Kind == Length && f.Length > 0:
		return Body{state: stateLength, left: f.Length}
	case f.Kind == Chunked:
		return Body{state: stateSize}
	case f.Kind == UntilClose:
		return Body{state: stateUntilClose}
	}
	return Body{}
}

// Next takes the next bytes from the wire. It returns a piece of content, which is a part of in and
// may be empty, and how many bytes of in it has consumed; that is more than the content where chunk
// headers or trailers came with it. Go on with in[n:] until n is 0 or [Body.Done] tells that all has
// come: then the rest of in is no longer part of this message. As long as it is not done and in is
// not empty, Next consumes something.
//
// The error is a *[SyntaxError] or [ErrTooLarge], and final.
func (b *Body) Next(in []byte) (data []byte, n int, err error) {
	for b.err == nil && n < len(in) {
		switch b.state {
		case stateDone:
			return nil, n, nil
		case stateUntilClose:
			b.read += int64(len(in))
			return in, len(in), nil
		case stateLength, stateData:
			data = in[n : n+int(min(b.left, int64(len(in)-n)))]
			b.take(len(data))
			return data, n + len(data), nil
		}
		if b.err = b.step(in[n]); b.err == nil {
			b.read++
			n++
		}
	}
	return nil, n, b.err
}

// Done tells whether the content is complete. Content that ends with the connection never is.
func (b *Body) Done() bool { return b.state == stateDone }

// EOF tells what the end of the connection means here: nil if the content may end here, the error
// that Next has returned, or else [ErrTruncated].
func (b *Body) EOF() error {
	switch {
	case b.err != nil:
		return b.err
	case b.state == stateDone, b.state == stateUntilClose:
		return nil
	}
	return ErrTruncated
}

// take counts n bytes of content.
func (b *Body) take(n int) {
	b.read += int64(n)
	b.left -= int64(n)
	switch {
	case b.left > 0:
	case b.state == stateLength:
		b.state = stateDone
	default:
		b.state = stateDataCR
	}
}

// step consumes one byte of what is not content.
func (b *Body) step(c byte) error {
	switch b.state {
	case stateSize, stateExtension, stateSizeLF:
		return b.stepChunkLine(c)
	case stateDataCR:
		if c == '\n' {
			return b.fault("bare LF ends a chunk")
		}
		return b.expect(c, '\r', stateDataLF, "chunk is longer than its size says")
	case stateDataLF:
		b.line, b.digits, b.left = 0, 0, 0
		return b.expect(c, '\n', stateSize, "chunk is not followed by CRLF")
	}
	return b.stepTrailer(c)
}

func (b *Body) stepChunkLine(c byte) error {
	if b.line++; b.line > maxChunkLine {
		return ErrTooLarge
	}
	switch {
	case b.state == stateSizeLF:
		if err := b.expect(c, '\n', stateData, "bare CR in a chunk-size line"); err != nil {
			return err
		}
		return b.beginChunk()
	case b.state == stateExtension && c == '\r':
		b.state = stateSizeLF
	case b.state == stateExtension:
		return b.text(c)
	default:
		return b.stepSize(c)
	}
	return nil
}

func (b *Body) stepSize(c byte) error {
	if digit, ok := hexDigit(c); ok {
		if b.digits++; b.digits > maxChunkDigits {
			return b.fault("chunk size is too large")
		}
		b.left = b.left<<4 | int64(digit)
		return nil
	}
	switch {
	case b.digits > 0 && c == '\r':
		b.state = stateSizeLF
	case b.digits > 0 && c == ';':
		b.state = stateExtension
	case c == '\n':
		return b.fault("bare LF ends a chunk-size line")
	default:
		return b.fault("chunk size is not a hexadecimal number")
	}
	return nil
}

// beginChunk is due at the end of a chunk-size line.
func (b *Body) beginChunk() error {
	b.excess = max(0, b.excess+int64(b.line)-16-2*b.left)
	if b.excess > maxChunkExcess {
		return ErrTooLarge
	}
	if b.left == 0 {
		b.line, b.state = 0, stateTrailer
	}
	return nil
}

func (b *Body) stepTrailer(c byte) error {
	if b.line++; b.line > maxTrailerBytes {
		return ErrTooLarge
	}
	switch b.state {
	case stateTrailer:
		if c == '\r' {
			b.state = stateFinalLF
			return nil
		}
		if !isTokenByte(c) {
			return b.fault("trailer line does not start with a name")
		}
		b.state = stateTrailerName
	case stateTrailerName:
		if c == ':' {
			b.state = stateTrailerValue
		} else if !isTokenByte(c) {
			return b.fault("trailer name has a byte that names cannot have")
		}
	case stateTrailerValue:
		if c == '\r' {
			b.state = stateTrailerLF
			return nil
		}
		return b.text(c)
	case stateTrailerLF:
		return b.expect(c, '\n', stateTrailer, "bare CR in a trailer")
	case stateFinalLF:
		return b.expect(c, '\n', stateDone, "bare CR after the last chunk")
	}
	return nil
}

// text accepts a byte of an extension or of a trailer's value.
func (b *Body) text(c byte) error {
	switch {
	case c == '\n':
		return b.fault("bare LF in a chunk extension or trailer")
	case c < ' ' && c != '\t', c == 0x7f:
		return b.fault("control byte in a chunk extension or trailer")
	}
	return nil
}

func (b *Body) expect(c, want byte, then bodyState, what string) error {
	if c != want {
		return b.fault(what)
	}
	b.state = then
	return nil
}

func (b *Body) fault(what string) error {
	return &SyntaxError{Offset: int(b.read), What: what}
}
