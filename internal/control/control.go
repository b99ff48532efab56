// Package control is the desired state of a balancer: the config file, its validation and its edits, and what
// has become of it.
//
// [Load] reads a config file, [New] makes the one [Control] of a process from it, and [Control.Run] brings the
// listeners, the table and the engine to what the file says, then serves reloads, edits and questions. An edit
// is validated, spliced into the file, written and synced, and only then applied; the file is the only truth.
// Transitions go the other way: [Control.Observe] takes them from the engine, and control numbers them, has
// them explained and logs them. What a failing target is asked beyond its checks, and how often, is decided here too.
//
// The package does not check targets, pass on requests, resolve names or watch the file: the parts that do
// are given to it as small interfaces.
//
// All state belongs to the goroutine of Run. Every method may be called from any goroutine; those that take a
// context wait for that goroutine.
package control

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/triage-lb/triage"
)

// Engine runs the health checks. Control's goroutine is the only one that calls Set.
type Engine interface {
	// Set gives the engine everything that is to be checked. Settings that did not change keep their health.
	Set([]triage.Roster)
	// Snapshot returns what is known about the members of a group, in any order.
	Snapshot(triage.GroupName) []triage.CheckStatus
}

// Table balances requests over targets. Control's goroutine is the only one that calls Publish.
type Table interface {
	// Publish returns when requests are balanced over these rosters and no others.
	Publish([]triage.Roster)
	// Snapshot returns the members of a group and the removed targets that still drain, in any order.
	Snapshot(triage.GroupName) []triage.BalanceStatus
}

// Listeners accept clients.
type Listeners interface {
	// Prepare binds the addresses that are new, and changes nothing else. Exactly one of commit, which puts
	// these listeners in place of the old, and abort, which unbinds the new, is called; neither can fail.
	// The error is for people, and holds the address as it was written.
	Prepare([]triage.Listener) (commit func(), abort func(), err error)
}

// Resolver keeps the addresses of names up to date.
type Resolver interface {
	// Set says which names are wanted from now on. It waits for those that are new, as long as patience says.
	Set(names []string, patience time.Duration)
	// Lookup returns what is known about a wanted name, without waiting for the network.
	Lookup(name string) ([]netip.Addr, error)
}

// Config is what a [Control] is made of. Path, Getenv and the four parts must be there.
type Config struct {
	Path    string                                   // of the config file; what is told of it is absolute
	Getenv  func(string) string                      // looks up ${NAME} of the file
	Version string                                   // of the program, for Status
	Log     *slog.Logger                             // nil: nothing is logged
	Explain func(*triage.Exchange) *triage.Diagnosis // says why a check failed; nil: never. Must not block
	Prove   Prove                                    // finds out more about it; nil: never
	Now     func() time.Time                         // nil: time.Now

	Engine    Engine
	Table     Table
	Listeners Listeners
	Resolver  Resolver
}

// Control owns the desired state. Use [New].
type Control struct {
	cfg      Config
	since    time.Time
	admin    string
	requests chan func()
	renewed  chan struct{} // of capacity 1: addresses changed
	inbox    inbox
	stopping atomic.Bool
	started  chan struct{} // closed when the first config is in place
	stopped  chan struct{} // closed when Run is over

	// Owned by the goroutine of Run. After stopped is closed nobody writes to it, and everybody may read.
	file    *File
	rosters []triage.Roster
	journal journal
	prover  prover
}

// New loads the config file. Its errors are those of [Load]. Nothing runs before [Control.Run].
func New(cfg Config) (*Control, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Explain == nil {
		cfg.Explain = func(*triage.Exchange) *triage.Diagnosis { return nil }
	}
	path, err := filepath.Abs(cfg.Path) // whoever reads it may be in another folder
	if err != nil {
		return nil, &triage.Error{Kind: triage.KindUnavailable, Message: fmt.Sprintf("find %s: %s", cfg.Path, err), Err: err}
	}
	cfg.Path = path
	file, err := Load(cfg.Path, cfg.Getenv)
	if err != nil {
		return nil, err
	}
	c := &Control{
		cfg:      cfg,
		since:    cfg.Now(),
		admin:    file.Config.Admin,
		requests: make(chan func()),
		renewed:  make(chan struct{}, 1),
		inbox:    inbox{ready: make(chan struct{}, 1)},
		started:  make(chan struct{}),
		stopped:  make(chan struct{}),
		file:     file,
		journal:  journal{log: cfg.Log, explain: cfg.Explain},
	}
	if cfg.Prove != nil {
		c.prover = newProver(cfg.Prove, cfg.Log)
		c.journal.suspect = c.prover.suspect
	}
	return c, nil
}

// Admin is the admin address of the config. It is the same until the process ends.
func (c *Control) Admin() string { return c.admin }

// Started is closed when the first config is in place: listeners bound, table and engine set.
func (c *Control) Started() <-chan struct{} { return c.started }

// Stopping says that the balancer has begun to stop. [Status] says so from now on.
func (c *Control) Stopping() { c.stopping.Store(true) }

// Run puts the loaded config in place, then serves until ctx is done, which is not an error. If the config
// cannot be put in place (a port is taken) it returns that error and nothing is half started. Table.Publish
// is called on this goroutine, so the table must be running. Run must be called once.
func (c *Control) Run(ctx context.Context) error {
	defer close(c.stopped)
	defer c.prover.workers.Wait()
	if err := c.bind(c.file); err != nil {
		return err
	}
	c.warn()
	close(c.started)
	for {
		select {
		case <-ctx.Done():
			c.stopping.Store(true)
			c.digest()
			c.journal.summarise()
			return nil
		case request := <-c.requests:
			request()
		case <-c.renewed:
			c.readdress()
		case <-c.inbox.ready:
			c.digest()
		case <-c.journal.tick:
			c.journal.summarise()
		case <-c.prover.due:
			c.prover.begin(ctx, &c.journal)
		case f := <-c.prover.found:
			c.prover.end(f, &c.journal)
		}
	}
}

// Observe takes transitions from the engine. It never blocks: what does not fit is counted, and said.
func (c *Control) Observe(batch []triage.Transition) { c.inbox.put(batch) }

// Resolved says that the addresses of some name changed. It never blocks.
func (c *Control) Resolved() {
	select {
	case c.renewed <- struct{}{}:
	default: // somebody said so already
	}
}

// Reload reads the config file again and puts it in place. The error says what is wrong with the file, or
// that a listener cannot be bound, or that the admin address changed; then everything stays as it was.
func (c *Control) Reload(ctx context.Context) (ReloadResult, error) {
	return call(ctx, c, func() (ReloadResult, error) {
		result, err := c.reload()
		if err != nil {
			err = c.refused(err)
		}
		return result, err
	})
}

// refused logs why a file was not taken over, and adds to the error what is in effect instead.
func (c *Control) refused(err error) error {
	const stays = "the running config stays as it was"
	attrs := []any{"file", c.cfg.Path, "reason", err}
	hint := triage.HintOf(err)
	if hint != "" {
		attrs = append(attrs, "hint", hint)
		hint += "\n"
	}
	c.cfg.Log.Error("reload refused: "+stays, attrs...)
	return &triage.Error{Kind: triage.KindOf(err), Message: err.Error(), Hint: hint + stays, Err: err}
}

// SetHealthCheck changes settings of a group's health check, in the file and in the running balancer.
//
// The errors of all four edits: KindInvalid if the edit makes no valid config, KindNotFound if there is no
// such group or target, KindConflict if the file changed on disk in the meantime, KindDenied if the file
// cannot be written (the hint holds the diff), KindUnavailable if the balancer stops.
func (c *Control) SetHealthCheck(ctx context.Context, group triage.GroupName, edit HealthCheckEdit) (EditResult, error) {
	return c.edit(ctx, func(f *File) (change, error) { return f.setHealthCheck(group, edit) })
}

// AddTarget adds a target to a group. The same target with the same settings may be added again. A name that
// does not resolve yet is a warning.
func (c *Control) AddTarget(ctx context.Context, group triage.GroupName, target triage.Target) (EditResult, error) {
	return c.edit(ctx, func(f *File) (change, error) { return f.addTarget(group, target) })
}

// RemoveTarget removes a target from a group. What runs on it may finish within the deregistration delay.
func (c *Control) RemoveTarget(ctx context.Context, group triage.GroupName, id triage.TargetID) (EditResult, error) {
	return c.edit(ctx, func(f *File) (change, error) { return f.removeTarget(group, id) })
}

// Drain takes a target out of rotation, or back in. What runs on it may finish.
func (c *Control) Drain(ctx context.Context, group triage.GroupName, id triage.TargetID, drain bool) (EditResult, error) {
	return c.edit(ctx, func(f *File) (change, error) { return f.drainTarget(group, id, drain) })
}

// call runs f on control's goroutine and waits for it.
func call[T any](ctx context.Context, c *Control, f func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	var none T
	select {
	case c.requests <- func() {
		value, err := f()
		answers <- answer{value, err}
	}:
	case <-c.stopped:
		return none, &triage.Error{Kind: triage.KindUnavailable, Message: "the balancer is stopping"}
	case <-ctx.Done():
		return none, &triage.Error{Kind: triage.KindUnavailable, Message: "the balancer did not get to it in time", Hint: "nothing was changed; try again", Err: ctx.Err()}
	}
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, &triage.Error{Kind: triage.KindUnavailable, Message: "the balancer was not ready in time", Hint: "it may still happen: look at triage status", Err: ctx.Err()}
	}
}

func (c *Control) reload() (ReloadResult, error) {
	file, err := Load(c.cfg.Path, c.cfg.Getenv)
	if err != nil {
		return ReloadResult{}, err
	}
	result := ReloadResult{File: file.Path, Warnings: file.Warnings}
	if file.Config.Admin != c.admin {
		return ReloadResult{}, &triage.Error{
			Kind:    triage.KindInvalid,
			Message: fmt.Sprintf("%sthe admin address cannot change from %s to %s while triage runs", file.at(file.tree().lineOf("admin.listen")), c.admin, file.Config.Admin),
			Hint:    "restart triage, or change it back",
		}
	}
	if bytes.Equal(file.whole(), c.file.whole()) && sameConfig(file.Config, c.file.Config) {
		return result, nil
	}
	changes := changesBetween(c.file.Config, file.Config)
	if err := c.bind(file); err != nil {
		return ReloadResult{}, err
	}
	result.Changed = true
	c.cfg.Log.Info("config reloaded", "file", file.Path, "changes", strings.Join(changes, "; "))
	c.warn()
	return result, nil
}

func (c *Control) warn() {
	for _, w := range c.file.Warnings {
		c.cfg.Log.Warn("config warning", "warning", w)
	}
}

// edit is validate, splice, write, apply, in that order: what was acknowledged is on the disk, and what is in
// place is what the disk says. Nothing can fail after the write: an edit touches no listener.
func (c *Control) edit(ctx context.Context, plan func(*File) (change, error)) (EditResult, error) {
	return call(ctx, c, func() (EditResult, error) {
		planned, err := plan(c.file)
		if err != nil {
			return EditResult{}, err
		}
		old := c.file
		if planned.none() {
			return EditResult{File: old.Path}, nil
		}
		edited, err := old.apply(planned)
		if err != nil {
			return EditResult{}, err
		}
		if err := old.save(edited); err != nil {
			return EditResult{}, err
		}
		c.install(edited, c.gather(edited))
		c.cfg.Log.Info("config edited", "change", planned.what, "file", old.Path)
		return EditResult{
			Changed:  true,
			File:     old.Path,
			Diff:     diff(old.Path, old.whole(), edited.whole()),
			Warnings: slices.Concat(planned.told, edited.warningsSince(old), c.unresolved(planned.added)),
		}, nil
	})
}

// unresolved warns of a target whose name has no address. "" is no target.
func (c *Control) unresolved(id triage.TargetID) []string {
	for _, r := range c.rosters {
		for _, m := range r.Members {
			if m.Key.Target == id && m.Unresolved != "" {
				return []string{m.Unresolved + ": it takes no requests until the name resolves"}
			}
		}
	}
	return nil
}

// bind puts a file in place whose listeners may be new. If they cannot be bound nothing has changed.
func (c *Control) bind(file *File) error {
	commit, _, err := c.cfg.Listeners.Prepare(file.Config.Listeners)
	if err != nil {
		return file.bindError(err)
	}
	rosters := c.gather(file)
	// A listener may be moving from one group to another. Until it has moved, requests ask for the old one.
	c.cfg.Table.Publish(together(c.rosters, rosters))
	commit()
	c.install(file, rosters)
	return nil
}

// gather finds the addresses of a file's targets.
func (c *Control) gather(file *File) []triage.Roster {
	c.cfg.Resolver.Set(namesIn(file.Config), patience)
	return rostersOf(file.Config, c.cfg.Resolver)
}

// together returns the new rosters and, of the old ones, the groups that are gone; whoever is reached by a
// listener before or after the change counts as reached.
func together(old, now []triage.Roster) []triage.Roster {
	both := slices.Clone(now)
	for _, was := range old {
		at := slices.IndexFunc(both, func(r triage.Roster) bool { return r.Name == was.Name })
		switch {
		case at < 0:
			both = append(both, was)
		case was.Routed:
			both[at].Routed = true
		}
	}
	return both
}

// patience is how long a config may wait for the addresses of its new names. A name without an address is an
// unhealthy target, so this only spares it from being one for a moment.
const patience = 2 * time.Second

// install puts a file in place whose listeners are bound. The table comes first: a target that is gone gets
// no request while its check is being stopped.
func (c *Control) install(file *File, rosters []triage.Roster) {
	c.file = file
	c.publish(rosters)
	if len(file.src) > manyBytes {
		debug.FreeOSMemory()
	}
}

// manyBytes is from how many bytes on a config is so large that what reading it has left behind, some hundred times as
// much, is given back to the system at once and not when the collector comes round.
const manyBytes = 1 << 19

// readdress takes over the new addresses of names.
func (c *Control) readdress() {
	rosters := rostersOf(c.file.Config, c.cfg.Resolver)
	if !sameMembers(rosters, c.rosters) {
		c.publish(rosters)
	}
}

func (c *Control) publish(rosters []triage.Roster) {
	c.rosters = rosters
	c.cfg.Table.Publish(rosters)
	c.cfg.Engine.Set(rosters)
	c.journal.follow(rosters, c.cfg.Engine.Snapshot)
}

// digest tells what was observed.
func (c *Control) digest() {
	batch, dropped := c.inbox.take()
	if dropped > 0 {
		c.cfg.Log.Warn("gap: more transitions came than could be told", "dropped", dropped)
	}
	c.journal.tell(batch)
	if dropped > 0 {
		c.journal.follow(c.rosters, c.cfg.Engine.Snapshot)
	}
}
