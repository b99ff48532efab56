package control

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/triage-lb/triage"
)

// change is an edit before it is written: what the config shall be, and the bytes that make it so. A change
// without splices is none: the config says so already.
type change struct {
	what   string   // for the log: "drain 10.0.0.5:80 in group app"
	told   []string // what else follows from it, for whoever asked
	config triage.Config
	added  triage.TargetID // "" if none
	*splicer
}

// apply makes the new file of a change. It reads the spliced bytes again and refuses unless they say exactly
// what was asked for: a wrong splice must never reach the disk.
func (f *File) apply(c change) (*File, error) {
	src, err := c.result()
	if err != nil {
		return nil, err
	}
	edited, err := parse(f.Path, slices.Concat(f.mark, src), f.getenv, pemsOf(filepath.Dir(f.Path), c.config))
	if err == nil && !sameConfig(edited.Config, c.config) {
		err = fmt.Errorf("the file would say something else than was asked for")
	}
	if err != nil {
		return nil, &triage.Error{
			Kind:    triage.KindDenied,
			Message: fmt.Sprintf("%s: %s cannot be written into the file as it is", f.Path, c.what),
			Hint:    "edit the file by hand, then run triage reload",
			Err:     err,
		}
	}
	return edited, nil
}

// group returns the group's place in the config, with a copy of the config that may be changed there.
func (f *File) group(name triage.GroupName) (int, triage.Config, error) {
	config := f.Config
	config.Groups = slices.Clone(config.Groups)
	i := slices.IndexFunc(config.Groups, func(g triage.Group) bool { return g.Name == name })
	if i < 0 {
		names := make([]string, len(config.Groups))
		for i, g := range config.Groups {
			names[i] = string(g.Name)
		}
		return 0, config, &triage.Error{Kind: triage.KindNotFound, Message: fmt.Sprintf("there is no group %q", name), Hint: suggest(string(name), names)}
	}
	config.Groups[i].Targets = slices.Clone(config.Groups[i].Targets)
	return i, config, nil
}

// writtenGroup is the group as it stands in the file.
func (f *File) writtenGroup(i int) *node { return f.tree().get("groups").items[i].value }

// target returns the target's place in its group.
func target(g triage.Group, id triage.TargetID) (int, error) {
	i := slices.IndexFunc(g.Targets, func(t triage.Target) bool { return t.ID == id })
	if i < 0 {
		return 0, &triage.Error{Kind: triage.KindNotFound, Message: fmt.Sprintf("group %q has no target %s", g.Name, id), Hint: someTargets(g)}
	}
	return i, nil
}

func someTargets(g triage.Group) string {
	if len(g.Targets) == 0 {
		return "the group has no targets"
	}
	var ids []string
	for _, t := range g.Targets[:min(len(g.Targets), 8)] {
		ids = append(ids, string(t.ID))
	}
	if len(g.Targets) > len(ids) {
		ids = append(ids, "…")
	}
	return "it has " + strings.Join(ids, ", ")
}

// setting is one key of a health check edit.
type setting struct {
	key   key[triage.HealthCheck]
	value string
}

// settings lists what the edit sets, in the order of the keys.
func (e HealthCheckEdit) settings() []setting {
	values := map[string]*string{
		"as": e.As, "protocol": e.Protocol, "port": e.Port, "path": e.Path, "success_codes": e.SuccessCodes,
		"grpc_codes": e.GRPCCodes, "service": e.Service, "host": e.Host,
		"expect_header": e.ExpectHeader, "expect_body": e.ExpectBody, "expect_body_regex": e.ExpectBodyRegex,
		"expect_body_within": literal(e.ExpectBodyWithin), "expect": e.Expect,
		"tls_server_name": e.TLSServerName, "tls_verify": literal(e.TLSVerify), "tls_ca_file": e.TLSCAFile,
		"tls_cert_file": e.TLSCertFile, "tls_key_file": e.TLSKeyFile, "tls_min_version": e.TLSMinVersion,
		"proxy_protocol": e.ProxyProtocol, "source_address": e.SourceAddress,
		"interval": e.Interval, "timeout": e.Timeout,
		"healthy_threshold": literal(e.HealthyThreshold), "unhealthy_threshold": literal(e.UnhealthyThreshold),
		"threshold_window": literal(e.ThresholdWindow),
		"hold_down":        e.HoldDown, "hold_down_limit": e.HoldDownLimit, "hold_down_window": e.HoldDownWindow,
		"unhealthy_interval": e.UnhealthyInterval, "transition_interval": e.TransitionInterval, "jitter": e.Jitter,
		"reuse_connection": literal(e.ReuseConnection),
	}
	var set []setting
	for _, k := range healthCheckKeys {
		if v := values[k.name]; v != nil {
			set = append(set, setting{k, *v})
		}
	}
	return set
}

// literal is a number or boolean as the file has it; nil stays nil.
func literal[T int | bool](v *T) *string {
	if v == nil {
		return nil
	}
	s := fmt.Sprint(*v)
	return &s
}

// read applies the setting to the check, as if it were read from a file in which it is literal text.
func (s setting) read(r *reader, to *triage.HealthCheck) {
	n := &node{form: text, text: unexpanded(s.value)}
	switch s.key.kind {
	case "number":
		n.form = number
	case "boolean":
		n.form = boolean
	}
	if !utf8.ValidString(s.value) {
		r.errorf(n, "", "%s: %q is not UTF-8 text", s.key.name, s.value)
		return
	}
	s.key.read(r, n, s.key.name, to)
}

// setHealthCheck changes settings of a group's check. A setting that the file does not name is written even
// if its default is the same: somebody wanted it said.
func (f *File) setHealthCheck(name triage.GroupName, e HealthCheckEdit) (change, error) {
	i, config, err := f.group(name)
	if err != nil {
		return change{}, err
	}
	check := &config.Groups[i].HealthCheck
	was := *check
	group := f.writtenGroup(i)
	written := group.get("health_check")
	named := func(key string) bool { return written.get(key).written() }
	r := f.reader()
	var news []setting
	var names []string
	if e.As != nil {
		*check = rebased(*check, *e.As, written, f.reader())
	}
	for _, s := range e.settings() {
		alone := was
		s.read(&reader{pems: r.pems}, &alone)
		s.read(r, check)
		if alone != was || !named(s.key.name) {
			news = append(news, s)
			names = append(names, s.key.name+" "+s.value)
		}
	}
	if err := invalidEdit(r.faults, config); err != nil {
		return change{}, err
	}
	c := change{what: fmt.Sprintf("health check of group %s: %s", name, strings.Join(names, ", ")), config: config, splicer: newSplicer(f)}
	if check.As != was.As {
		c.told = defaulted(was, *check, func(key string) bool {
			return named(key) || slices.ContainsFunc(news, func(s setting) bool { return s.key.name == key })
		})
	}
	if len(news) > 0 {
		c.writeHealthCheck(group, written, news)
	}
	return c, nil
}

// reader reads more of what the file says, or what is to be written into it.
func (f *File) reader() *reader {
	return &reader{getenv: f.getenv, pems: pemsOf(filepath.Dir(f.Path), f.Config)}
}

// rebased returns the check by the defaults of another dialect, with what the file names as it is. A dialect that does
// not exist changes nothing; who reads the edit's settings says so.
func rebased(check triage.HealthCheck, as string, written *node, r *reader) triage.HealthCheck {
	var other triage.HealthCheck
	if readAs(r, &node{form: text, text: unexpanded(as)}, "as", &other); len(r.faults) > 0 {
		return check
	}
	check = defaultsOf(other.As)
	readMapping(r, written, "health_check", healthCheckKeys, &check) // without a fault, as when the file was read
	check.As = other.As
	return check
}

// invalidEdit returns what is wrong with an edit: values that cannot be read, or a config that must not be.
func invalidEdit(faults []fault, config triage.Config) error {
	if len(faults) == 0 {
		for _, p := range validate(config).Errors() {
			faults = append(faults, fault{message: p.Message, hint: p.Hint})
		}
	}
	if len(faults) == 0 {
		return nil
	}
	var messages, hints []string
	for _, f := range faults {
		messages = append(messages, f.message)
		if f.hint != "" && !slices.Contains(hints, f.hint) {
			hints = append(hints, f.hint)
		}
	}
	return &triage.Error{Kind: triage.KindInvalid, Message: strings.Join(inPacks(messages), "; "), Hint: strings.Join(hints, "; ")}
}

// inPacks joins what is said of several keys in the same words, as it is of those of TLS.
func inPacks(messages []string) []string {
	const one, several = " means nothing ", " mean nothing "
	var packed []string
	for i := 0; i < len(messages); {
		first := messages[i]
		key, said, idle := strings.Cut(first, one)
		keys := []string{key}
		for i++; idle && i < len(messages); i++ {
			next, alike, _ := strings.Cut(messages[i], one)
			if alike != said {
				break
			}
			keys = append(keys, next)
		}
		if len(keys) > 1 {
			first = strings.Join(keys, ", ") + several + said
		}
		packed = append(packed, first)
	}
	return packed
}

// writeHealthCheck writes settings into the health_check mapping of a group, which may be missing.
func (s *splicer) writeHealthCheck(group, check *node, news []setting) {
	var missing []string
	for _, n := range news {
		i := -1
		if check.written() {
			i = check.pairOf(n.key.name)
		}
		if i >= 0 {
			s.setScalar(check.pairs[i], scalarText(n.value, n.key.kind, check.pairs[i].value.style))
		} else {
			missing = append(missing, n.key.name+": "+scalarText(n.value, n.key.kind, plain))
		}
	}
	if check.written() {
		s.addPairs(check, missing...)
	} else {
		s.writeCollection(group, "health_check", "{"+strings.Join(missing, ", ")+"}", missing)
	}
}

// writeCollection writes a collection under a key that is missing in the mapping m or has no value: by
// indentation where that is the mapping's style, else as {…} or […].
func (s *splicer) writeCollection(m *node, key, inFlow string, inBlock []string) {
	i := m.pairOf(key)
	switch {
	case m.start < 0:
		s.refuse(m.line)
	case m.style == flow && i < 0:
		s.addPairs(m, key+": "+inFlow)
	case m.style == flow || i >= 0 && m.pairs[i].value.end > m.pairs[i].value.start:
		s.setScalar(m.pairs[i], inFlow)
	default:
		at := lastEnd(pairSpans(m))
		if i >= 0 {
			at = m.pairs[i].after
		}
		if at < 0 {
			s.refuse(m.line)
			return
		}
		indent := s.indent(m)
		if i < 0 {
			s.addLine(at, indent+key+":")
		}
		for _, line := range inBlock {
			s.addLine(at, indent+"  "+line)
		}
	}
}

func (f *File) addTarget(name triage.GroupName, t triage.Target) (change, error) {
	i, config, err := f.group(name)
	if err != nil {
		return change{}, err
	}
	g := &config.Groups[i]
	c := change{what: fmt.Sprintf("add %s to group %s", t.ID, name), splicer: newSplicer(f)}
	if at := slices.IndexFunc(g.Targets, func(other triage.Target) bool { return other.ID == t.ID }); at >= 0 {
		if max(g.Targets[at].Weight, 1) != max(t.Weight, 1) || g.Targets[at].Drain != t.Drain {
			return change{}, &triage.Error{
				Kind:    triage.KindConflict,
				Message: fmt.Sprintf("group %q has a target %s already, with other settings", name, t.ID),
				Hint:    "remove it first, or edit the file",
			}
		}
		c.config = config
		return c, nil
	}
	g.Targets = append(g.Targets, t)
	if err := invalidEdit(nil, config); err != nil {
		return change{}, err
	}
	c.config, c.added = config, t.ID
	c.writeTarget(f.writtenGroup(i), t)
	return c, nil
}

// writeTarget writes a new entry at the end of a group's targets, which may be missing.
func (s *splicer) writeTarget(group *node, t triage.Target) {
	const key = "targets"
	entry := targetText(t)
	targets := group.get(key)
	switch {
	case !targets.written():
		s.writeCollection(group, key, "["+entry+"]", []string{"- " + entry})
	case targets.style == flow:
		s.addFlow(targets, itemSpans(targets), entry)
	default:
		end := lastEnd(itemSpans(targets))
		if end < 0 || targets.start < 0 {
			s.refuse(targets.line)
			return
		}
		s.addLine(end, string(s.src[s.lineStart(targets.start):targets.start])+"- "+entry)
	}
}

// targetText writes a target as an entry of a list.
func targetText(t triage.Target) string {
	address := scalarText(string(t.ID), "text", plain)
	if t.Weight == 0 && !t.Drain {
		return address
	}
	entry := "{address: " + address
	if t.Weight != 0 {
		entry += fmt.Sprintf(", weight: %d", t.Weight)
	}
	if t.Drain {
		entry += ", drain: true"
	}
	return entry + "}"
}

func (f *File) removeTarget(name triage.GroupName, id triage.TargetID) (change, error) {
	i, config, err := f.group(name)
	if err != nil {
		return change{}, err
	}
	g := &config.Groups[i]
	at, err := target(*g, id)
	if err != nil {
		return change{}, err
	}
	g.Targets = slices.Delete(g.Targets, at, at+1)
	c := change{what: fmt.Sprintf("remove %s from group %s", id, name), config: config, splicer: newSplicer(f)}
	group := f.writtenGroup(i)
	c.eraseTarget(group.pairs[group.pairOf("targets")], at)
	return c, nil
}

func (s *splicer) eraseTarget(targets pair, at int) {
	list := targets.value
	spans := itemSpans(list)
	switch {
	case slices.ContainsFunc(spans, func(sp span) bool { return sp.start < 0 }) || spans[at].end < 0 || at > 0 && spans[at-1].end < 0:
		s.refuse(list.items[at].value.line)
	case list.style == flow:
		s.removeFlow(spans, at)
	default:
		s.removeLines(spans[at].start, spans[at].end)
		if len(spans) == 1 {
			s.add(targets.after, targets.after, " []")
		}
	}
}

func (f *File) drainTarget(name triage.GroupName, id triage.TargetID, drain bool) (change, error) {
	i, config, err := f.group(name)
	if err != nil {
		return change{}, err
	}
	g := &config.Groups[i]
	at, err := target(*g, id)
	if err != nil {
		return change{}, err
	}
	verb := "undrain"
	if drain {
		verb = "drain"
	}
	c := change{what: fmt.Sprintf("%s %s in group %s", verb, id, name), splicer: newSplicer(f)}
	if g.Targets[at].Drain != drain {
		g.Targets[at].Drain = drain
		c.writeDrain(f.writtenGroup(i).get("targets").items[at].value, drain)
	}
	c.config = config
	return c, nil
}

// writeDrain sets or removes a target's drain key.
func (s *splicer) writeDrain(entry *node, drain bool) {
	if entry.form != mapping {
		s.drainScalar(entry)
		return
	}
	i := entry.pairOf("drain")
	switch {
	case drain && i < 0:
		s.addPairs(entry, "drain: true")
	case drain:
		s.setScalar(entry.pairs[i], "true")
	case i == 0 && entry.style == block:
		s.setScalar(entry.pairs[i], "false") // its line holds the entry's dash
	case entry.style == block:
		if at := pairSpans(entry)[i]; at.start < 0 || at.end < 0 {
			s.refuse(entry.line)
		} else {
			s.removeLines(at.start, at.end)
		}
	default:
		if slices.ContainsFunc(pairSpans(entry), func(sp span) bool { return sp.start < 0 || sp.end < 0 }) {
			s.refuse(entry.line)
			return
		}
		s.removeFlow(pairSpans(entry), i)
	}
}

// drainScalar makes a mapping of an entry that is only an address.
func (s *splicer) drainScalar(entry *node) {
	if entry.start < 0 || entry.end < 0 {
		s.refuse(entry.line)
		return
	}
	address := string(s.src[entry.start:entry.end])
	if entry.style == plain && strings.ContainsAny(address, ",[]{}\r\n") {
		address = doubleQuoted(entry.text)
	}
	s.add(entry.start, entry.end, "{address: "+address+", drain: true}")
}

// sameConfig reports whether two configs ask for the same.
func sameConfig(a, b triage.Config) bool {
	if a.Admin != b.Admin || !slices.Equal(a.Listeners, b.Listeners) || !slices.Equal(a.AllowTargets, b.AllowTargets) {
		return false
	}
	return slices.EqualFunc(a.Groups, b.Groups, func(g, h triage.Group) bool {
		same := slices.Equal(g.Targets, h.Targets)
		g.Targets, h.Targets = nil, nil
		return same && reflect.DeepEqual(g, h)
	})
}

// none reports whether there is nothing to write.
func (c change) none() bool { return len(c.splices) == 0 && c.err == nil }
