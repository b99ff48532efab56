//go:build linux

package main

import (
	"os"
	"testing"
	"time"
)

func TestParseProcessStat(t *testing.T) {
	const numbers = " S 1 7 7 0 -1 4194560 2190 80 3 1 250 175 5 6 20 0 9 0 1000 1300 900 0"
	for _, name := range []string{"triage", "a b", "x) R 1 (y"} {
		got, err := parseProcessStat("4711 (" + name + ")" + numbers)
		if err != nil || got != 4250*time.Millisecond {
			t.Errorf("%q: %s, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "4711 (triage", "4711 (triage) S 1 2", "1 (x) S 1 7 7 0 -1 4194560 2190 80 3 1 much 175"} {
		if got, err := parseProcessStat(bad); err == nil {
			t.Errorf("%q gave %s", bad, got)
		}
	}
}

func TestParseProcessStatus(t *testing.T) {
	got, err := parseProcessStatus("Name:\ttriage\nVmHWM:\t   20480 kB\nVmRSS:\t    9000 kB\nRssAnon:\t    8192 kB\nRssFile:\t 808 kB\n")
	if want := (memory{anonymous: 8 << 20, peak: 20 << 20}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "VmHWM:\t1 kB\n", "RssAnon:\t1 kB\n", "VmHWM:\t1 kB\nRssAnon:\tmuch kB\n", "VmHWM:\t1 kB\nRssAnon:\t1 MB\n"} {
		if got, err := parseProcessStatus(bad); err == nil {
			t.Errorf("%q gave %+v", bad, got)
		}
	}
}

func TestParseCoreBusy(t *testing.T) {
	const text = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 4 1000 500 8 16 32 64 0\ncpu1 100 0 0 7 7 0 0 0 0 0\nintr 5\n"
	for core, want := range map[int]time.Duration{0: 630 * time.Millisecond, 1: time.Second} {
		if got, err := parseCoreBusy(text, core); err != nil || got != want {
			t.Errorf("core %d: %s, %v", core, got, err)
		}
	}
	if got, err := parseCoreBusy(text, 2); err == nil {
		t.Errorf("a core that is not there was busy for %s", got)
	}
}

// TestThisProcess reads the real files.
func TestThisProcess(t *testing.T) {
	for begin := time.Now(); time.Since(begin) < 50*time.Millisecond; {
		// Use some CPU.
	}
	if used, err := processCPU(os.Getpid()); err != nil || used <= 0 || used > time.Hour {
		t.Errorf("CPU %s, %v", used, err)
	}
	if held, err := processMemory(os.Getpid()); err != nil || held.anonymous < 1<<20 || held.peak < held.anonymous {
		t.Errorf("memory %+v, %v", held, err)
	}
	if busy, err := coreBusy(0); err != nil || busy <= 0 {
		t.Errorf("core 0 was busy for %s, %v", busy, err)
	}
}

func TestParseModel(t *testing.T) {
	if got := parseModel("processor\t: 0\nmodel name\t: Some CPU @ 2: fast\nflags\t: x\n"); got != "Some CPU @ 2: fast" {
		t.Errorf("%q", got)
	}
}
