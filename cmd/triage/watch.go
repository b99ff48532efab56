package main

import (
	"fmt"
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
	w, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.Add(folder) // the folder, because the file itself is replaced
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
		tellSettled(w, told, stop)
	}()
	return told, func() { close(stop); <-done; w.Close() }, nil
}

// tellSettled turns bursts of events in the folder into one word each. Any file of the folder counts: a config
// map's file is a link, and what changes is elsewhere beside it. A reload that finds nothing new does nothing.
func tellSettled(w *fsnotify.Watcher, told chan<- struct{}, stop <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case event, ok := <-w.Events:
			if !ok {
				return
			}
			if event.Op != fsnotify.Chmod {
				timer.Reset(settle)
			}
		case _, ok := <-w.Errors:
			if !ok {
				return
			}
			timer.Reset(settle) // events were lost: look
		case <-timer.C:
			select {
			case told <- struct{}{}:
			case <-stop:
				return
			}
		}
	}
}
