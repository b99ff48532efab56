package probe

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/triage-lb/triage"
)

// classifyConnect names the outcome of a connect that did not succeed.
func classifyConnect(err error) (triage.Outcome, string) {
	switch {
	case triage.KindOf(err) == triage.KindDenied:
		return triage.AddressForbidden, err.Error()
	case resourceFault(err):
		return triage.OutOfResources, reason(err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return triage.Refused, ""
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return triage.Unreachable, reason(err)
	case errors.Is(err, syscall.ETIMEDOUT):
		return triage.ConnectTimeout, ""
	}
	return triage.ConnectFailed, reason(err)
}

// resourceFault reports whether a socket call failed for want of something on our side: descriptors, ports
// (EADDRNOTAVAIL on connect: every local port to that address is taken), or memory.
func resourceFault(err error) bool {
	for _, fault := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN,
	} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}

// classifyHandshake names the outcome of a TLS handshake that did not complete.
func classifyHandshake(err error) (triage.Outcome, string) {
	if notTLS, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return triage.TLSNotSpoken, fmt.Sprintf("it answers with %s", quoteStart(notTLS.RecordHeader[:]))
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return triage.TLSUntrusted, untrusting(untrusted.Err)
	}
	if alert, ok := alertIn(err); ok {
		return triage.TLSRefused, "the target's alert: " + alert
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return triage.TLSClosed, ""
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return triage.TLSClosed, "reset"
	}
	return triage.TLSRefused, "by us: " + strings.TrimPrefix(err.Error(), "local error: ")
}

// alertIn returns the target's alert, if that is why crypto/tls failed.
func alertIn(err error) (alert string, ok bool) {
	if op, is := errors.AsType[*net.OpError](err); is && op.Op == "remote error" {
		return op.Err.Error(), true
	}
	return "", false
}

// reason is the kernel's word for an error, without the operation and the address around it.
func reason(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}
