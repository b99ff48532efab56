package proxy

import (
	"sync"
	"sync/atomic"
	"time"
)

// watch cuts an exchange off when nothing has moved for too long, in either direction. Moving is one atomic
// store; there is one timer for the whole exchange.
type watch struct {
	born  time.Time
	moved atomic.Int64 // when something moved last, as a duration since born

	mu      sync.Mutex
	timer   *time.Timer
	limit   time.Duration
	cut     func() // called with mu held, once, from the timer's goroutine
	over    bool
	expired bool
}

// start begins to watch with the limit.
func (w *watch) start(limit time.Duration, cut func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.born, w.limit, w.cut = time.Now(), limit, cut
	w.moved.Store(0)
	w.over, w.expired = false, false
	w.timer = time.AfterFunc(limit, w.fire)
}

// touch says that something moved.
func (w *watch) touch() { w.moved.Store(int64(time.Since(w.born))) }

// next begins a phase of the exchange that has another limit.
func (w *watch) next(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.touch()
	w.limit = limit
	if !w.over {
		w.timer.Reset(limit)
	}
}

// stop ends the watch, and reports whether it had cut the exchange off. After it returns, cut is not running.
func (w *watch) stop() (expired bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
	return w.expired
}

func (w *watch) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	idle := time.Since(w.born) - time.Duration(w.moved.Load())
	if idle < w.limit {
		w.timer.Reset(w.limit - idle)
		return
	}
	w.over, w.expired = true, true
	w.cut()
}
