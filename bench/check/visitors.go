//go:build linux

package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// visitors are clients who come through the balancer, some forty times a second, while it is busy with checks.
type visitors struct {
	stop   context.CancelFunc
	coming sync.WaitGroup

	mu      sync.Mutex
	answers map[string]int // guarded by mu, like slowest: how many by status code, or "no answer"
	slowest time.Duration  // of the requests that were answered
}

const noAnswer = "no answer within 2s"

// visit sends visitors until leave is called.
func visit() *visitors {
	ctx, stop := context.WithCancel(context.Background())
	v := &visitors{stop: stop, answers: make(map[string]int)}
	for range 4 {
		v.coming.Go(func() {
			client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			pause := time.NewTicker(100 * time.Millisecond)
			defer pause.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-pause.C:
					v.request(&client)
				}
			}
		})
	}
	return v
}

func (v *visitors) request(client *http.Client) {
	began := time.Now()
	answer, err := client.Get("http://" + webAddress + clientPath)
	word := noAnswer
	if err == nil {
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if err == nil {
			word = strconv.Itoa(answer.StatusCode)
		}
	}
	took := time.Since(began)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answers[word]++
	if word != noAnswer {
		v.slowest = max(v.slowest, took)
	}
}

// leave returns when the last visitor has left. After it the counts do not change.
func (v *visitors) leave() {
	v.stop()
	v.coming.Wait()
}
