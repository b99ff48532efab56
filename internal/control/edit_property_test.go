package control

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
)

// writer writes a random config the way some person might: in any of YAML's styles, with comments anywhere.
type writer struct {
	t        *rapid.T
	b        strings.Builder
	eol      string
	step     int // spaces per level
	hang     int // extra spaces before the dashes of a list
	comments int
}

func newWriter(t *rapid.T) *writer {
	return &writer{
		t:    t,
		eol:  rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "eol"),
		step: rapid.IntRange(2, 4).Draw(t, "step"),
		hang: rapid.SampledFrom([]int{0, 2}).Draw(t, "hang"),
	}
}

func (w *writer) chance(label string) bool { return rapid.IntRange(0, 2).Draw(w.t, label) == 0 }

// comment is unique, so that a test can ask where it went.
func (w *writer) comment() string {
	w.comments++
	return fmt.Sprintf("# c%d, é: [x] {y} \"z\" 'w'", w.comments)
}

// line writes a line, sometimes with a comment behind or above it, or a blank line below it.
func (w *writer) line(indent int, s string) {
	if w.chance("comment above") {
		fmt.Fprintf(&w.b, "%*s%s%s", indent, "", w.comment(), w.eol)
	}
	fmt.Fprintf(&w.b, "%*s%s", indent, "", s)
	if w.chance("comment behind") {
		w.b.WriteString("  " + w.comment())
	}
	w.b.WriteString(w.eol)
	if w.chance("blank line") {
		w.b.WriteString(w.eol)
	}
}

// quoted writes text in random quotes.
func (w *writer) quoted(s string) string {
	was := rapid.SampledFrom([]style{plain, single, double}).Draw(w.t, "quotes")
	if was == double {
		return doubleQuoted(unexpanded(s))
	}
	return scalarText(s, "text", was)
}

func (w *writer) target(t triage.Target) (pairs []string) {
	pairs = []string{"address: " + w.quoted(string(t.ID))}
	if t.Weight != 0 {
		pairs = append(pairs, fmt.Sprintf("weight: %d", t.Weight))
	}
	if t.Drain || w.chance("drain: false") {
		pairs = append(pairs, fmt.Sprintf("drain: %v", t.Drain))
	}
	return rapid.Permutation(pairs).Draw(w.t, "target keys")
}

func (w *writer) flowTarget(t triage.Target) string {
	if t.Weight == 0 && !t.Drain && w.chance("scalar") {
		return w.quoted(string(t.ID))
	}
	return "{" + strings.Join(w.target(t), ", ") + "}"
}

func (w *writer) targets(indent int, ts []triage.Target) {
	switch form := rapid.IntRange(0, 3).Draw(w.t, "targets as"); {
	case len(ts) == 0 && form == 0:
	case len(ts) == 0 && form == 1:
		w.line(indent, "targets:")
	case len(ts) == 0 && form == 2:
		w.line(indent, "targets: null")
	case form == 0:
		w.line(indent, "targets: ["+strings.Join(w.flowTargets(ts), ", ")+"]")
	case form == 1:
		w.line(indent, "targets: [")
		for i, t := range w.flowTargets(ts) {
			comma := ","
			if i == len(ts)-1 && !w.chance("last comma") {
				comma = ""
			}
			w.line(indent+w.step, t+comma)
		}
		w.line(indent, "]")
	case len(ts) == 0:
		w.line(indent, "targets: [ ]")
	default:
		w.line(indent, "targets:")
		for _, t := range ts {
			w.blockTarget(indent+w.hang, t)
		}
	}
}

func (w *writer) flowTargets(ts []triage.Target) (texts []string) {
	for _, t := range ts {
		texts = append(texts, w.flowTarget(t))
	}
	return texts
}

func (w *writer) blockTarget(indent int, t triage.Target) {
	if w.chance("in flow") || t.Weight == 0 && !t.Drain {
		w.line(indent, "- "+w.flowTarget(t))
		return
	}
	for i, p := range w.target(t) {
		if i == 0 {
			w.line(indent, "- "+p)
		} else {
			w.line(indent+2, p)
		}
	}
}

// flowGroup writes a whole group on one line.
func (w *writer) flowGroup(g triage.Group) {
	parts := []string{"name: " + w.quoted(string(g.Name))}
	if len(g.Targets) > 0 {
		parts = append(parts, "targets: ["+strings.Join(w.flowTargets(g.Targets), ", ")+"]")
	} else if missing := rapid.SampledFrom([]string{"", "targets", "targets:", "targets: []"}).Draw(w.t, "no targets as"); missing != "" {
		parts = append(parts, missing)
	}
	if pairs := w.checkPairs(g.HealthCheck); len(pairs) > 0 {
		parts = append(parts, "health_check: {"+strings.Join(pairs, ", ")+"}")
	} else if missing := rapid.SampledFrom([]string{"", "health_check", "health_check:", "health_check: {}"}).Draw(w.t, "no check as"); missing != "" {
		parts = append(parts, missing)
	}
	parts = rapid.Permutation(parts).Draw(w.t, "group keys")
	w.line(w.hang, "- {"+strings.Join(parts, ", ")+"}")
}

func (w *writer) checkPairs(c triage.HealthCheck) []string {
	d := defaultsOf(c.As)
	var pairs []string
	put := func(isDefault bool, key, value string) {
		if !isDefault || w.chance("default written") {
			pairs = append(pairs, key+": "+value)
		}
	}
	put(c.As == "", "as", w.quoted(asText(c)))
	put(c.Protocol == d.Protocol, "protocol", w.quoted(string(c.Protocol)))
	put(c.Path == d.Path, "path", w.quoted(c.Path))
	put(c.SuccessCodes == d.SuccessCodes, "success_codes", doubleQuoted(c.SuccessCodes.String()))
	put(c.Interval == d.Interval, "interval", w.quoted(c.Interval.String()))
	put(c.Thresholds.Healthy == d.Thresholds.Healthy, "healthy_threshold", fmt.Sprint(c.Thresholds.Healthy))
	put(c.UnhealthyInterval == 0, "unhealthy_interval", w.quoted(c.UnhealthyInterval.String()))
	put(c.TransitionInterval == 0, "transition_interval", w.quoted(c.TransitionInterval.String()))
	put(c.Jitter == 0, "jitter", w.quoted(c.Jitter.String()))
	put(!c.ReuseConnection, "reuse_connection", fmt.Sprint(c.ReuseConnection))
	put(c.GRPCCodes == d.GRPCCodes, "grpc_codes", doubleQuoted(c.GRPCCodes.String()))
	put(c.Expect.Header == "", "expect_header", w.quoted(c.Expect.Header))
	put(c.ProxyProtocol == "", "proxy_protocol", w.quoted(string(c.ProxyProtocol)))
	put(c.Thresholds.Window == 0, "threshold_window", fmt.Sprint(c.Thresholds.Window))
	put(c.HoldDown.First == 0, "hold_down", w.quoted(c.HoldDown.First.String()))
	return rapid.Permutation(pairs).Draw(w.t, "check keys")
}

func (w *writer) healthCheck(indent int, c triage.HealthCheck) {
	pairs := w.checkPairs(c)
	switch form := rapid.IntRange(0, 3).Draw(w.t, "check as"); {
	case len(pairs) == 0 && form == 0:
	case len(pairs) == 0 && form == 1:
		w.line(indent, "health_check:")
	case len(pairs) == 0 && form == 2:
		w.line(indent, "health_check: ~")
	case len(pairs) == 0 || form == 0:
		w.line(indent, "health_check: {"+strings.Join(pairs, ", ")+"}")
	default:
		w.line(indent, "health_check:")
		for _, p := range pairs {
			w.line(indent+w.step, p)
		}
	}
}

func (w *writer) config(c triage.Config) []byte {
	if w.chance("mark") {
		w.b.Write(byteOrderMark)
	}
	if w.chance("header") {
		w.b.WriteString("---" + w.eol)
	}
	listeners := func() {
		w.line(0, "listeners: [{name: web, listen: \":8080\", default: {forward: "+string(c.Groups[0].Name)+"}}]")
	}
	first := w.chance("listeners first")
	if first {
		listeners()
	}
	w.line(0, "groups:")
	for _, g := range c.Groups {
		if w.chance("group in flow") {
			w.flowGroup(g)
			continue
		}
		w.line(w.hang, "- name: "+w.quoted(string(g.Name)))
		if rapid.Bool().Draw(w.t, "targets first") {
			w.targets(w.hang+2, g.Targets)
			w.healthCheck(w.hang+2, g.HealthCheck)
		} else {
			w.healthCheck(w.hang+2, g.HealthCheck)
			w.targets(w.hang+2, g.Targets)
		}
	}
	if !first {
		listeners()
	}
	src := w.b.String()
	if w.chance("no last line end") {
		src = strings.TrimRight(src, "\r\n")
	}
	return []byte(src)
}

func drawTarget(t *rapid.T) triage.Target {
	return triage.Target{
		ID:     triage.TargetID(rapid.SampledFrom([]string{"127.0.0.%d:80", "[::%d]:80", "app-%d.example.org:8000", "app_%d:9"}).Draw(t, "host")),
		Weight: rapid.SampledFrom([]int{0, 0, 1, 2, 256}).Draw(t, "weight"),
		Drain:  rapid.Bool().Draw(t, "drain"),
	}
}

func drawCheck(t *rapid.T) triage.HealthCheck {
	c := defaultsOf(rapid.SampledFrom([]triage.Dialect{"", "", triage.AWSALB, triage.AWSCLB}).Draw(t, "as"))
	if c.As != triage.AWSALB { // which has no check over tcp
		c.Protocol = rapid.SampledFrom([]triage.Protocol{triage.TCP, triage.HTTP}).Draw(t, "protocol")
	}
	c.Path = rapid.SampledFrom([]string{"/", "/health_check", "/a?b=c&d", "/it's", "/x,y", "/{id}", "/${HOME}", "/a:b", "/%20"}).Draw(t, "path")
	c.SuccessCodes = rapid.SampledFrom([]triage.Matcher{triage.MatchCodes(200, 200), triage.MatchCodes(200, 399)}).Draw(t, "codes")
	c.Thresholds.Healthy = rapid.SampledFrom([]int{1, 2, 10}).Draw(t, "threshold")
	c.UnhealthyInterval = rapid.SampledFrom([]time.Duration{0, time.Minute, 7500 * time.Millisecond}).Draw(t, "unhealthy interval")
	c.TransitionInterval = rapid.SampledFrom([]time.Duration{0, 8 * time.Second}).Draw(t, "transition interval")
	c.Jitter = rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "jitter")
	c.ReuseConnection = rapid.Bool().Draw(t, "reuse")
	c.GRPCCodes = rapid.SampledFrom([]triage.Matcher{c.GRPCCodes, triage.MatchGRPC(0, 99)}).Draw(t, "gRPC codes")
	if c.Protocol == triage.HTTP {
		c.Expect.Header = rapid.SampledFrom([]string{"", "X-Ready: yes, # \"now\"", "ETag: 'a'", "X: ${HOME}", "1.0"}).Draw(t, "expected header")
	}
	c.ProxyProtocol = rapid.SampledFrom([]triage.ProxyProtocol{"", triage.ProxyV1, triage.ProxyV2}).Draw(t, "proxy protocol")
	c.Thresholds.Window = rapid.SampledFrom([]int{0, 10, 16}).Draw(t, "window")
	c.HoldDown.First = rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "hold down")
	return c
}

func drawConfig(t *rapid.T) triage.Config {
	c := triage.Config{Admin: triage.DefaultAdmin}
	for i := range rapid.IntRange(1, 3).Draw(t, "groups") {
		g := triage.DefaultGroup()
		g.Name = triage.GroupName([]string{"app", "true", "9.5"}[i])
		g.HealthCheck = drawCheck(t)
		for j := range rapid.IntRange(0, 4).Draw(t, "targets") {
			target := drawTarget(t)
			target.ID = triage.TargetID(fmt.Sprintf(string(target.ID), j+1))
			g.Targets = append(g.Targets, target)
		}
		c.Groups = append(c.Groups, g)
	}
	return c
}

// editCase is a random edit with its inverse, what the config must be after it, and which of the lines of
// the file it may touch.
type editCase struct {
	name    string
	do      func(*File) (change, error)
	undo    func(*File) (change, error)
	want    func(*triage.Config)
	touched func(*File) (first, last int) // lines from first to last-1, counted from 0; others must survive
	removes bool                          // the comments behind the item go with it
}

func drawEdit(t *rapid.T, c triage.Config) editCase {
	i := rapid.IntRange(0, len(c.Groups)-1).Draw(t, "group")
	g := c.Groups[i]
	kind := rapid.IntRange(0, 3).Draw(t, "edit")
	if len(g.Targets) == 0 && kind > 1 {
		kind -= 2
	}
	under := func(key string) func(*File) (int, int) {
		return func(f *File) (int, int) {
			group := f.tree().get("groups").items[i].value
			if group.style == flow {
				return linesOf(f, group.start, group.end)
			}
			at := group.pairOf(key)
			if at < 0 {
				return 0, 0
			}
			return linesOf(f, group.pairs[at].start, max(group.pairs[at].value.end, group.pairs[at].after))
		}
	}
	switch kind {
	case 0:
		check := drawCheck(t)
		return editCase{
			name: fmt.Sprintf("check of %s: %v", g.Name, check),
			do:   func(f *File) (change, error) { return f.setHealthCheck(g.Name, editTo(check)) },
			undo: func(f *File) (change, error) { return f.setHealthCheck(g.Name, editTo(g.HealthCheck)) },
			want: func(c *triage.Config) { c.Groups[i].HealthCheck = check }, touched: under("health_check"),
		}
	case 1:
		target := drawTarget(t)
		target.ID = triage.TargetID(fmt.Sprintf(string(target.ID), 99))
		return editCase{
			name: fmt.Sprintf("add %v to %s", target, g.Name),
			do:   func(f *File) (change, error) { return f.addTarget(g.Name, target) },
			undo: func(f *File) (change, error) { return f.removeTarget(g.Name, target.ID) },
			want: func(c *triage.Config) { c.Groups[i].Targets = append(c.Groups[i].Targets, target) },
			touched: func(f *File) (int, int) {
				if group := f.tree().get("groups").items[i].value; group.get("targets").written() && group.get("targets").style == block {
					return 0, 0
				}
				return under("targets")(f)
			},
		}
	}
	at := rapid.IntRange(0, len(g.Targets)-1).Draw(t, "target")
	target := g.Targets[at]
	item := func(f *File) (int, int) {
		targets := f.tree().get("groups").items[i].value.get("targets")
		if targets.style == flow || len(targets.items) == 1 {
			return under("targets")(f)
		}
		return linesOf(f, targets.items[at].mark, targets.items[at].value.end)
	}
	if kind == 2 {
		return editCase{
			name: fmt.Sprintf("remove %s from %s", target.ID, g.Name),
			do:   func(f *File) (change, error) { return f.removeTarget(g.Name, target.ID) },
			undo: func(f *File) (change, error) { return f.addTarget(g.Name, target) },
			want: func(c *triage.Config) { c.Groups[i].Targets = slices.Delete(c.Groups[i].Targets, at, at+1) }, touched: item, removes: true,
		}
	}
	return editCase{
		name:    fmt.Sprintf("drain %s in %s: %v", target.ID, g.Name, !target.Drain),
		do:      func(f *File) (change, error) { return f.drainTarget(g.Name, target.ID, !target.Drain) },
		undo:    func(f *File) (change, error) { return f.drainTarget(g.Name, target.ID, target.Drain) },
		want:    func(c *triage.Config) { c.Groups[i].Targets[at].Drain = !target.Drain },
		touched: item, removes: target.Drain,
	}
}

func linesOf(f *File, start, end int) (int, int) {
	return bytes.Count(f.src[:start], []byte("\n")), bytes.Count(f.src[:end], []byte("\n")) + 1
}

func editTo(c triage.HealthCheck) HealthCheckEdit {
	v := viewOf(c)
	as, protocol, codes := asText(c), string(c.Protocol), c.SuccessCodes.String()
	grpc, proxy, held := c.GRPCCodes.String(), string(c.ProxyProtocol), triage.DurationText(c.HoldDown.First)
	unhealthy, transition, jitter := triage.DurationText(c.UnhealthyInterval), triage.DurationText(c.TransitionInterval), triage.DurationText(c.Jitter)
	return HealthCheckEdit{
		As: &as, Protocol: &protocol, Path: &c.Path, SuccessCodes: &codes, Interval: &v.Interval, Timeout: &v.Timeout,
		HealthyThreshold: &v.HealthyThreshold, UnhealthyThreshold: &v.UnhealthyThreshold,
		GRPCCodes: &grpc, ExpectHeader: &c.Expect.Header, ProxyProtocol: &proxy, ThresholdWindow: &c.Thresholds.Window, HoldDown: &held,
		UnhealthyInterval: &unhealthy, TransitionInterval: &transition, Jitter: &jitter, ReuseConnection: &c.ReuseConnection,
	}
}

// asText is the dialect of a check as a file has it.
func asText(c triage.HealthCheck) string {
	if c.As == "" {
		return string(triage.Own)
	}
	return string(c.As)
}

var comments = regexp.MustCompile(`# c\d+,`)

// TestEditsKeepTheRest is the promise of an edit: the file says what was asked for, every line that is not the
// edited value's own is still there, byte for byte and in order, and so is every comment that does not stand
// on a line of a removed value.
func TestEditsKeepTheRest(t *testing.T) {
	noEnv := func(name string) string { return "" }
	rapid.Check(t, func(t *rapid.T) {
		config := drawConfig(t)
		src := newWriter(t).config(config)
		f, err := Parse("triage.yaml", src, noEnv)
		if err != nil {
			t.Fatalf("%s\n%s", err, src)
		}
		config.Listeners = f.Config.Listeners
		if !sameConfig(f.Config, config) {
			t.Fatalf("read wrongly: %s\n%s", cmp.Diff(config, f.Config, cmp.Comparer(func(a, b triage.Matcher) bool { return a == b })), src)
		}
		e := drawEdit(t, config)
		edited := mustApply(t, f, e.do)
		_, want, _ := f.group(config.Groups[0].Name)
		for i := range want.Groups {
			want.Groups[i].Targets = slices.Clone(want.Groups[i].Targets)
		}
		e.want(&want)
		if !sameConfig(edited.Config, want) {
			t.Fatalf("%s: the file says something else\n%s\n%s", e.name, src, edited.src)
		}
		checkSurvivors(t, f, edited, e)
		if back := mustApply(t, edited, e.undo); !sameUnordered(back.Config, f.Config) {
			t.Fatalf("%s and back is not the same\n%s\n%s\n%s", e.name, src, edited.src, back.src)
		}
	})
}

func mustApply(t *rapid.T, f *File, edit func(*File) (change, error)) *File {
	c, err := edit(f)
	if err != nil {
		t.Fatalf("%s\n%s", err, f.src)
	}
	edited, err := f.apply(c)
	if err != nil {
		broken, _ := c.result()
		t.Fatalf("%s: %v\n%s\n---- would be\n%s", err, err.(*triage.Error).Err, f.src, broken)
	}
	return edited
}

func checkSurvivors(t *rapid.T, f, edited *File, e editCase) {
	if !bytes.Equal(f.mark, edited.mark) {
		t.Fatalf("%s: the byte order mark is lost", e.name)
	}
	first, last := e.touched(f)
	rest := splitLines(edited.src)
	lines := splitLines(f.src)
	for i, line := range lines {
		if i >= first && i < last {
			continue
		}
		if i == len(lines)-1 {
			line = strings.TrimRight(line, "\r\n") // a new last line may have come below it
		}
		at := slices.IndexFunc(rest, func(s string) bool { return s == line || i == len(lines)-1 && strings.TrimRight(s, "\r\n") == line })
		if at < 0 {
			t.Fatalf("%s: line %d is lost: %q\n%s\n---- became\n%s", e.name, i+1, line, f.src, edited.src)
		}
		rest = rest[at+1:]
	}
	for i, line := range lines {
		for _, c := range comments.FindAllString(line, -1) {
			onRemoved := e.removes && i >= first && i < last
			if !onRemoved && !bytes.Contains(edited.src, []byte(c)) {
				t.Fatalf("%s: comment %q is lost\n%s\n---- became\n%s", e.name, c, f.src, edited.src)
			}
		}
	}
}

// sameUnordered is sameConfig, whatever the order of targets: one that was removed comes back last.
func sameUnordered(a, b triage.Config) bool {
	for _, c := range []*triage.Config{&a, &b} {
		c.Groups = slices.Clone(c.Groups)
		for i := range c.Groups {
			c.Groups[i].Targets = slices.Clone(c.Groups[i].Targets)
			slices.SortFunc(c.Groups[i].Targets, func(a, b triage.Target) int { return strings.Compare(string(a.ID), string(b.ID)) })
		}
	}
	return sameConfig(a, b)
}
