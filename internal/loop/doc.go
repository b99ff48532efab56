// Package loop is an event loop for many short connections and very many timers: edge-triggered epoll, a
// timer wheel and wake-ups from other goroutines. A turn of its owner is
//
//	conns.Poll(untilNextTimer, handle) // waits; handle gets each connection that is ready
//	timers.Advance(now, fire)          // fire gets each timer that is due
//
// in this order, so that an answer that has arrived counts before a deadline that has passed.
//
// It knows bytes, addresses and times, and nothing of what they are for. It does no TLS, resolves no names
// and starts no goroutine. A [Wheel] works everywhere; a Loop needs Linux. Neither allocates once it has
// grown to what it has to carry.
//
// A Loop and a Wheel belong to the one goroutine that uses them; only [Loop.Wake] may be called from others.
package loop
