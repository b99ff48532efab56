package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/triage-lb/triage"
)

// settle is how long a file must have been left alone before its change is told: an editor writes in several
// steps, and what it writes in the middle is not meant.
const settle = 200 * time.Millisecond

// watchFile tells on a channel that a file has changed, also when it is replaced by another one of its name
// (as editors and Kubernetes do). If watch is false the channel never speaks. The func ends the watch.
func watchFile(path string, watch bool) (changes <-chan struct{}, end func(), err error) {
	if !watch {
		return nil, func() {}, nil
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	known, _ := os.ReadFile(path) // control has just read it; if it is gone since, any content is news
	w, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.Add(folder) // the folder, because the file itself is replaced
	}
	if real, e := filepath.EvalSymlinks(path); err == nil && e == nil {
		err = w.Add(filepath.Dir(real))
	}
	if err != nil {
		return nil, nil, &triage.Error{
			Kind:    triage.KindUnavailable,
			Message: fmt.Sprintf("watch %s: %s", folder, err),
			Hint:    "run without --watch and use triage reload",
			Err:     err,
		}
	}
	told, done := make(chan struct{}), make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(done)
		tellSettled(w, path, known, told, stop)
	}()
	return told, func() { close(stop); <-done; w.Close() }, nil
}

// tellSettled tells of the file once its content has changed and then stayed for a while. The events of the
// folders only wake it: a log that is written beside the config, perhaps our own, is no change.
func tellSettled(w *fsnotify.Watcher, path string, known []byte, told chan<- struct{}, stop <-chan struct{}) {
	seen := known
	var look <-chan time.Time
	for {
		select {
		case <-stop:
			return
		case <-w.Events:
			look = cmp.Or(look, time.After(settle))
			continue
		case _, ok := <-w.Errors: // events were lost
			if !ok {
				return
			}
			look = cmp.Or(look, time.After(settle))
			continue
		case <-look:
			look = nil
		}
		if target, err := filepath.EvalSymlinks(path); err == nil {
			_ = w.Add(filepath.Dir(target)) // a link may lead elsewhere now; to watch a folder twice is to watch it once
		}
		now, err := os.ReadFile(path)
		switch {
		case err != nil || bytes.Equal(now, known): // gone for a moment, or somebody else's event
			seen = known
			continue
		case !bytes.Equal(now, seen):
			seen, look = now, time.After(settle)
			continue
		}
		known = now
		select {
		case told <- struct{}{}:
		case <-stop:
			return
		}
	}
}
