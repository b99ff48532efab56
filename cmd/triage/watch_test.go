package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// watched is a config file in a folder of its own, with a watch on it.
type watched struct {
	t       *testing.T
	path    string
	changes <-chan struct{}
}

func newWatched(t *testing.T, path string) watched {
	t.Helper()
	changes, end, err := watchFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	return watched{t, path, changes}
}

func (w watched) noticed(what string) {
	w.t.Helper()
	select {
	case <-w.changes:
	case <-time.After(patience):
		w.t.Errorf("not noticed: %s", what)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Error(err)
	}
}

// TestALogBesideTheConfig: it is written all the time. Each line was a reload, and then none could come through.
func TestALogBesideTheConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "triage.yaml")
	write(t, config, "a")
	w := newWatched(t, config)
	end := make(chan struct{})
	var logging sync.WaitGroup
	logging.Go(func() {
		lines := time.NewTicker(settle / 10)
		defer lines.Stop()
		for {
			select {
			case <-lines.C:
				write(t, filepath.Join(dir, "access.log"), time.Now().String())
			case <-end:
				return
			}
		}
	})
	defer func() { close(end); logging.Wait() }()
	select {
	case <-w.changes:
		t.Fatal("a line of the log was taken for a change")
	case <-time.After(3 * settle):
	}
	write(t, config, "b")
	w.noticed("a change while the log is written")
}

// TestHowFilesAreReplaced: in place, by an editor's rename, behind a link, and as Kubernetes does.
func TestHowFilesAreReplaced(t *testing.T) {
	for name, place := range map[string]func(t *testing.T, dir string) (path string, change func(text string)){
		"in place": func(t *testing.T, dir string) (string, func(string)) {
			path := filepath.Join(dir, "triage.yaml")
			return path, func(text string) { write(t, path, text) }
		},
		"by an editor": func(t *testing.T, dir string) (string, func(string)) {
			path := filepath.Join(dir, "triage.yaml")
			return path, func(text string) {
				write(t, path+".swp", text)
				if err := os.Rename(path+".swp", path); err != nil {
					t.Error(err)
				}
			}
		},
		"behind a link": func(t *testing.T, dir string) (string, func(string)) {
			elsewhere := filepath.Join(t.TempDir(), "conf.yaml")
			path := filepath.Join(dir, "triage.yaml")
			link(t, elsewhere, path)
			return path, func(text string) { write(t, elsewhere, text) }
		},
		"in Kubernetes": func(t *testing.T, dir string) (string, func(string)) {
			path, data := filepath.Join(dir, "triage.yaml"), filepath.Join(dir, "..data")
			link(t, filepath.Join("..data", "triage.yaml"), path)
			return path, func(text string) {
				fresh, err := os.MkdirTemp(dir, "..2026")
				if err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(fresh, "triage.yaml"), text)
				link(t, filepath.Base(fresh), data+"_tmp")
				if err := os.Rename(data+"_tmp", data); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, change := place(t, t.TempDir())
			change("a")
			w := newWatched(t, path)
			change("b")
			w.noticed("the first change")
			change("c")
			w.noticed("the second change")
		})
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// TestLinkThatLeadsElsewhere: what it leads to now is the config from now on.
func TestLinkThatLeadsElsewhere(t *testing.T) {
	t.Parallel()
	dir, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "triage.yaml")
	write(t, filepath.Join(first, "conf.yaml"), "a")
	write(t, filepath.Join(second, "conf.yaml"), "b")
	link(t, filepath.Join(first, "conf.yaml"), path)
	w := newWatched(t, path)
	link(t, filepath.Join(second, "conf.yaml"), path+"~")
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
	w.noticed("the link leads elsewhere")
	write(t, filepath.Join(second, "conf.yaml"), "c")
	w.noticed("a change there")
}
