// Package triage is the vocabulary of a load balancer that tells the truth about the servers behind it.
//
// Everything the program talks about has its type here, with its validation beside it: a [Group] of
// targets, the [HealthCheck] that is asked of each, the [Exchange] that one check was, its [Outcome], the
// [Health] that a row of outcomes adds up to, and the [Diagnosis] that explains it. The words are those of
// AWS's Elastic Load Balancing wherever AWS has one; GLOSSARY.md lists them.
//
// Two pure functions decide what becomes of a target, and nothing else does:
//
//   - [Health.Observe] counts outcomes and flips between healthy and unhealthy;
//   - [Effective] combines the four inputs to a target's state: checks, traffic, a person, registration.
//
// The package does no I/O, starts no goroutine, and logs nothing; its values may be copied and, unless a
// type says otherwise, compared with ==. Adapters to the world (sockets, files, HTTP) live in internal/.
package triage
