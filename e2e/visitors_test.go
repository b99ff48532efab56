package e2e

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// visit is one request of a visitor and what came of it.
type visit struct {
	Start    time.Time
	Status   int    // 0 if no response came
	Instance string // who answered; "" if nobody of the three did
	Err      error
}

// maxVisits bounds what a forgotten crowd can do.
const maxVisits = 5000

// visitors ask one URL at a steady rate, each on a connection of its own.
type visitors struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	seen []visit // guarded by mu
}

// startVisitors begins asking url as mysite.com, one request every interval,
// until stop is called or the test ends.
func startVisitors(t *testing.T, url string, every time.Duration) *visitors {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	v := &visitors{cancel: cancel}
	client := &http.Client{
		// No proxy and no connection is shared.
		Transport: &http.Transport{DisableKeepAlives: true},
		Timeout:   10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	v.wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for range maxVisits {
			v.wg.Go(func() { v.add(askAs(client, url)) })
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() { v.stop() })
	return v
}

// stop sends no more requests, waits for those under way, and tells all.
func (v *visitors) stop() []visit {
	v.cancel()
	v.wg.Wait()
	return v.since(time.Time{})
}

// since tells the finished visits that started at or after begin, in order of
// their start.
func (v *visitors) since(begin time.Time) []visit {
	v.mu.Lock()
	defer v.mu.Unlock()
	var found []visit
	for _, s := range v.seen {
		if !s.Start.Before(begin) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b visit) int { return a.Start.Compare(b.Start) })
	return found
}

func (v *visitors) add(s visit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = append(v.seen, s)
}

func askAs(client *http.Client, url string) visit {
	s := visit{Start: time.Now()}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		s.Err = err
		return s
	}
	req.Host = "mysite.com"
	req.Header.Set("X-Forwarded-Proto", "https")
	resp, err := client.Do(req)
	if err != nil {
		s.Err = err
		return s
	}
	resp.Body.Close()
	s.Status, s.Instance = resp.StatusCode, resp.Header.Get("X-Instance")
	return s
}
