package behind

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
)

const defaultCheckTimeout = time.Second

// Health is an [http.Handler] for the health path. Asked with GET or HEAD it
// runs all its checks at the same time and answers
//
//	200 ok                 if every check passed, or there is none
//	503 database: failed   one line for each check that did not pass
//
// and 405 to other methods (HAProxy asks with OPTIONS unless told otherwise:
// "http-check send meth GET uri /health_check").
//
// The reasons in the answer are "failed", "timed out" and "still running".
// The error itself may hold addresses and passwords, and the health path is
// open to everybody: only OnFailure gets it.
//
// Checks never overlap. Requests that arrive while checks run wait for that
// run and share its result, which is then at most one timeout old, so a flood
// of requests costs each dependency one question at a time. A check that goes
// on after its timeout is not started a second time: it counts as "still
// running" until it returns.
//
// The zero Health has no checks and answers 200. A Health must not be copied
// after its first request.
type Health struct {
	// Checks are what the application cannot work without. Think twice before
	// adding what all instances share: when it fails, all of them turn
	// unhealthy together.
	Checks []Check

	// Timeout bounds the whole answer, whatever the checks' own timeouts say.
	// Keep it below the load balancer's. Zero means no bound but theirs.
	Timeout time.Duration

	// OnFailure, if set, is told of each check that did not pass, once per run
	// and with the whole error. It is called in the goroutine of one of the
	// requests, one check after the other, before that request is answered.
	OnFailure func(name string, err error)

	prepared sync.Once
	invalid  error         // what Validate said; written by prepared
	checks   []*boundCheck // written by prepared

	mu      sync.Mutex
	current *healthRun // the run in progress, or nil; guarded by mu
}

// Check is one thing the application depends on.
type Check struct {
	// Name stands in the answer when the check does not pass, where everybody
	// can read it. It is not empty, is printable, and no other check of the
	// same Health has it.
	Name string

	// Timeout is how long Run may take. Zero means 1 s.
	Timeout time.Duration

	// Run asks the dependency and returns nil if it works. Its context ends at
	// the timeout and belongs to no request, since requests share a run. A
	// panic counts as an error. Two calls never overlap.
	Run func(context.Context) error
}

// Validate tells what is wrong with the settings: a check without Name or Run,
// two checks of one name, a negative timeout. A Health with such settings
// answers 503 and the same text to every request, so calling Validate at start
// is how to find out earlier.
func (h *Health) Validate() error {
	if h.Timeout < 0 {
		return fmt.Errorf("health timeout %v is negative", h.Timeout)
	}
	seen := make(map[string]bool, len(h.Checks))
	for i, check := range h.Checks {
		switch {
		case check.Name == "":
			return fmt.Errorf("health check %d of %d has no name", i+1, len(h.Checks))
		case strings.ContainsFunc(check.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
			return fmt.Errorf("the health check name %q is not printable", check.Name)
		case seen[check.Name]:
			return fmt.Errorf("two health checks are named %q", check.Name)
		case check.Run == nil:
			return fmt.Errorf("health check %q has no Run", check.Name)
		case check.Timeout < 0:
			return fmt.Errorf("health check %q has the negative timeout %v", check.Name, check.Timeout)
		}
		seen[check.Name] = true
	}
	return nil
}

// ServeHTTP answers one health request, after at most the longest timeout.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		answer(w, r, http.StatusMethodNotAllowed, "only GET and HEAD\n")
		return
	}
	h.prepared.Do(h.prepare)
	if h.invalid != nil {
		answer(w, r, http.StatusServiceUnavailable, h.invalid.Error()+"\n")
		return
	}
	failures, err := h.ask(r.Context())
	if err != nil {
		// Returning without an answer would be a 200. The client may well be
		// there: a handler around this one can end the context too.
		answer(w, r, http.StatusServiceUnavailable, "the request ended before the checks did\n")
		return
	}
	if len(failures) == 0 {
		answer(w, r, http.StatusOK, "ok")
		return
	}
	var body strings.Builder
	for _, failed := range failures {
		body.WriteString(failed.name + ": " + failed.reason + "\n")
	}
	answer(w, r, http.StatusServiceUnavailable, body.String())
}

func (h *Health) prepare() {
	if h.invalid = h.Validate(); h.invalid != nil {
		return
	}
	for _, check := range h.Checks {
		if check.Timeout == 0 {
			check.Timeout = defaultCheckTimeout
		}
		if h.Timeout > 0 {
			check.Timeout = min(check.Timeout, h.Timeout)
		}
		h.checks = append(h.checks, &boundCheck{Check: check})
	}
}

// healthRun is one run of all checks. Its failures are written before done is
// closed and only read afterwards.
type healthRun struct {
	done     chan struct{}
	failures []failure
}

type failure struct {
	name   string
	reason string // for everybody
	err    error  // for OnFailure only
}

// ask joins the run in progress or, if there is none, does one itself in the
// goroutine of its request. Its error is that of ctx: the request ended while
// it waited for another request's run.
func (h *Health) ask(ctx context.Context) ([]failure, error) {
	h.mu.Lock()
	if run := h.current; run != nil {
		h.mu.Unlock()
		select {
		case <-run.done:
			return run.failures, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	run := &healthRun{done: make(chan struct{})}
	h.current = run
	h.mu.Unlock()

	run.failures = runChecks(h.checks)

	h.mu.Lock()
	h.current = nil
	h.mu.Unlock()
	close(run.done)

	if h.OnFailure != nil {
		for _, failed := range run.failures {
			h.OnFailure(failed.name, failed.err)
		}
	}
	return run.failures, nil
}

// runChecks starts every check, then waits for each until its own deadline. It
// takes no context: the request that happens to do the run may end early, and
// the others still want the result.
func runChecks(checks []*boundCheck) []failure {
	waits := make([]func() *failure, len(checks))
	for i, check := range checks {
		waits[i] = check.start()
	}
	var failures []failure
	for _, wait := range waits {
		if failed := wait(); failed != nil {
			failures = append(failures, *failed)
		}
	}
	return failures
}

// boundCheck is a check with its timeout settled and the trace of its last run.
type boundCheck struct {
	Check
	running atomic.Bool // from start until Run returned, however late
	started time.Time   // of the last run; touched by the one run in progress
}

// start runs the check in a goroutine of its own, unless the last one is still
// there, and returns a func that waits for the result or the timeout. Nobody
// can end a Run that ignores its context: its goroutine is left behind, and
// running makes sure that it stays the only one.
func (c *boundCheck) start() (wait func() *failure) {
	if c.running.Load() {
		err := fmt.Errorf("still running since %v ago, although its timeout is %v", time.Since(c.started).Round(time.Millisecond), c.Timeout)
		return func() *failure { return &failure{c.Name, "still running", err} }
	}
	c.running.Store(true)
	c.started = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	verdict := make(chan *failure, 1)
	go func() {
		// Judged here, since the waiter may come later than the deadline.
		failed := c.judge(ctx, c.call(ctx))
		c.running.Store(false) // before the verdict, which lets the next run begin
		verdict <- failed
	}()
	return func() *failure {
		defer cancel()
		select {
		case failed := <-verdict:
			return failed
		case <-ctx.Done():
		}
		select {
		case failed := <-verdict: // both were ready
			return failed
		default:
			return c.judge(ctx, ctx.Err())
		}
	}
}

// call turns a panic of the check into an error.
func (c *boundCheck) call(ctx context.Context) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v\n%s", reason, debug.Stack())
		}
	}()
	return c.Run(ctx)
}

// judge says what the result of Run means at this moment: nil for a pass. A
// pass after the deadline is none.
func (c *boundCheck) judge(ctx context.Context, err error) *failure {
	switch {
	case ctx.Err() != nil:
		return &failure{c.Name, "timed out", fmt.Errorf("no result within %v: %w", c.Timeout, cmp.Or(err, ctx.Err()))}
	case errors.Is(err, context.DeadlineExceeded): // of a shorter deadline inside Run
		return &failure{c.Name, "timed out", err}
	case err != nil:
		return &failure{c.Name, "failed", err}
	default:
		return nil
	}
}
