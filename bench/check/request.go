//go:build linux

package main

import "bytes"

// asked is what a request wants.
type asked uint8

const (
	askedUnknown asked = iota // a path that there is not
	askedCheck                // a health check
	askedClient               // what clients ask for through the balancer: answered whatever happens to checks
)

const (
	siteOK      = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"
	siteUnknown = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	siteFault   = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
	siteRequest = "GET " + targetPath + " "
	siteClient  = "GET " + clientPath + " "
	endOfHead   = "\r\n\r\n"
)

// requests finds the requests in what comes in on one connection. They have no bodies.
type requests struct {
	matched int  // bytes of the empty line that ends a request, so far
	begun   bool // the first bytes of the request were looked at
	wants   asked
}

// next reads up to the end of a request: what it wants, and what came behind it. It is not complete when in is
// used up before.
func (r *requests) next(in []byte) (wants asked, rest []byte, complete bool) {
	for i, b := range in {
		if !r.begun {
			r.begun, r.wants = true, wanted(in[i:])
		}
		switch b {
		case endOfHead[r.matched]:
			r.matched++
		case endOfHead[0]:
			r.matched = 1
		default:
			r.matched = 0
		}
		if r.matched == len(endOfHead) {
			wants = r.wants
			*r = requests{}
			return wants, in[i+1:], true
		}
	}
	return askedUnknown, nil, false
}

func wanted(head []byte) asked {
	switch {
	case bytes.HasPrefix(head, []byte(siteRequest)):
		return askedCheck
	case bytes.HasPrefix(head, []byte(siteClient)):
		return askedClient
	}
	return askedUnknown
}
