package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

// How long the client waits for an answer. An edit ends on a disk, a reload may wait for names to resolve.
const (
	readDeadline = 5 * time.Second
	editDeadline = 30 * time.Second
)

// maxAnswer bounds what the client reads: a hundred thousand targets, each with a diagnosis, fit well.
const maxAnswer = 256 << 20

// Client asks a running balancer at its admin address. Its errors are [*triage.Error]: what the balancer
// refused comes back with the kind, message and hint that it had there; a balancer that does not answer is
// [triage.KindUnavailable]. A context that ends gives the context's error. It never goes through a proxy.
type Client struct {
	address string
	base    string // URL without path
	http    *http.Client
}

// NewClient returns a client for an admin address: "address:port" on loopback or "unix:/path". It connects
// only when it is asked something, and keeps no connection.
func NewClient(address string) (*Client, error) {
	if err := triage.CheckAdmin(address); err != nil {
		e := &triage.Error{Kind: triage.KindInvalid, Message: err.Error(), Err: err}
		if _, _, err := triage.SplitHostPort(address); err == nil {
			e.Hint = "to reach the balancer of another machine, forward its port:\n  ssh -L 7380:127.0.0.1:7380 HOST"
		}
		return nil, e
	}
	network, to, base := "tcp", address, "http://"+address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, to, base = "unix", path, "http://localhost"
	}
	var dialer net.Dialer
	return &Client{address: address, base: base, http: &http.Client{
		Transport: &http.Transport{
			Proxy:             nil, // the address is this machine's own
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, to)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Address is the admin address that the client asks.
func (c *Client) Address() string { return c.address }

// Status returns the whole balancer, or one group and its listeners if group is not "".
func (c *Client) Status(ctx context.Context, group triage.GroupName) (control.Status, error) {
	path := pathStatus
	if group != "" {
		path += "?group=" + url.QueryEscape(string(group))
	}
	return call[control.Status](ctx, c, http.MethodGet, path, nil)
}

// Ready returns nil if new clients may be sent to the balancer, else an error of [triage.KindUnavailable] that
// says why not: it is starting, draining, or does not answer.
func (c *Client) Ready(ctx context.Context) error {
	status, _, body, err := c.exchange(ctx, http.MethodGet, pathReady, nil)
	if err != nil || status == http.StatusOK {
		return err
	}
	return &triage.Error{Kind: triage.KindUnavailable,
		Message: fmt.Sprintf("the balancer at %s is not ready: %s", c.address, bytes.TrimSpace(body))}
}

// Reload makes the balancer read its config file again and returns when the file is in effect.
func (c *Client) Reload(ctx context.Context) (control.ReloadResult, error) {
	return call[control.ReloadResult](ctx, c, http.MethodPost, pathReload, nothing{})
}

// SetHealthCheck edits how a group is checked.
func (c *Client) SetHealthCheck(ctx context.Context, group triage.GroupName, edit control.HealthCheckEdit) (control.EditResult, error) {
	return c.edit(ctx, http.MethodPatch, pathHealthCheck, group, "", edit)
}

// AddTarget adds a target to a group. Its Drain is not looked at.
func (c *Client) AddTarget(ctx context.Context, group triage.GroupName, target triage.Target) (control.EditResult, error) {
	return c.edit(ctx, http.MethodPost, pathTargets, group, "", newTarget{target.ID, target.Weight})
}

// RemoveTarget removes a target from a group.
func (c *Client) RemoveTarget(ctx context.Context, group triage.GroupName, target triage.TargetID) (control.EditResult, error) {
	return c.edit(ctx, http.MethodDelete, pathTarget, group, target, nothing{})
}

// Drain takes a target out of rotation, or lets it back in.
func (c *Client) Drain(ctx context.Context, group triage.GroupName, target triage.TargetID, drain bool) (control.EditResult, error) {
	path := pathUndrain
	if drain {
		path = pathDrain
	}
	return c.edit(ctx, http.MethodPost, path, group, target, nothing{})
}

// edit sends an edit of a group or, where the path names one, of a target. An empty name would be another path.
func (c *Client) edit(ctx context.Context, method, path string, group triage.GroupName, target triage.TargetID, in any) (control.EditResult, error) {
	empty := ""
	switch {
	case group == "":
		empty = "the group's name is empty"
	case target == "" && strings.Contains(path, "{target}"):
		empty = "the target's address is empty"
	}
	if empty != "" {
		return control.EditResult{}, &triage.Error{Kind: triage.KindInvalid, Message: empty, Hint: "triage status lists groups and targets"}
	}
	return call[control.EditResult](ctx, c, method, at(path, group, target), in)
}

// at fills in a path's group and target.
func at(path string, group triage.GroupName, target triage.TargetID) string {
	return strings.NewReplacer("{group}", url.PathEscape(string(group)), "{target}", url.PathEscape(string(target))).Replace(path)
}

// call sends one request and reads its answer.
func call[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	status, head, body, err := c.exchange(ctx, method, path, in)
	if err != nil {
		return out, err
	}
	media, _, _ := mime.ParseMediaType(head.Get("Content-Type"))
	switch {
	case media == problemType:
		var p problem
		if err := json.Unmarshal(body, &p); err != nil {
			return out, c.stranger(status, media, err)
		}
		return out, p.asError()
	case status != http.StatusOK || media != "application/json":
		return out, c.stranger(status, media, nil)
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return out, c.stranger(status, media, err)
	}
	return out, nil
}

// asError is the opposite of problemFrom.
func (p *problem) asError() error {
	e := &triage.Error{Kind: kindOf(p.Status), Message: p.Detail, Hint: p.Hint}
	for _, k := range kinds {
		if k.kind == p.Kind {
			e.Kind = p.Kind
		}
	}
	return e
}

// stranger says that something answers at the address, but not a balancer that this program understands.
func (c *Client) stranger(status int, media string, err error) error {
	return &triage.Error{Kind: triage.KindUnavailable, Err: err,
		Message: fmt.Sprintf("what answers at %s is not a triage of this version (status %d, %q)", c.address, status, media),
		Hint:    whereHint}
}

const (
	whereHint = "is triage serve running? --admin, TRIAGE_ADMIN or -c FILE say where"
	movedHint = "if admin.listen was just edited: --admin OLD, where it still answers"
)

// exchange sends a request and returns the status, head and body of its answer, whatever they say.
func (c *Client) exchange(ctx context.Context, method, path string, in any) (int, http.Header, []byte, error) {
	deadline := readDeadline
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, nil, nil, fmt.Errorf("encode %T: %w", in, err)
		}
		deadline, body = editDeadline, bytes.NewReader(b)
	}
	limited, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, method, c.base+path, body)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, nil, c.unanswered(ctx, deadline, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, nil, nil, c.unanswered(ctx, deadline, err)
	}
	return resp.StatusCode, resp.Header, answer, nil
}

// unanswered words why there is no answer. ctx is the caller's.
func (c *Client) unanswered(ctx context.Context, deadline time.Duration, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &triage.Error{Kind: triage.KindUnavailable, Err: err,
			Message: fmt.Sprintf("the balancer at %s did not answer within %s", c.address, deadline),
			Hint:    "what was asked may have been done all the same: triage status tells"}
	}
	e := &triage.Error{Kind: triage.KindUnavailable, Hint: whereHint + "\n" + movedHint, Err: err}
	cause := rootCause(err).Error()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		cause = "the connection is refused"
	case errors.Is(err, syscall.ENOENT):
		cause = "there is no such socket"
	case errors.Is(err, fs.ErrPermission):
		cause = "you may not use this socket"
		e.Hint = "run it as the socket's owner or as root"
	}
	e.Message = fmt.Sprintf("no balancer answers at %s: %s", c.address, cause)
	return e
}
