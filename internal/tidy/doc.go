// Package tidy is the house rules as tests: which room may import which, what the pure rooms may
// not touch, how large things may grow, what must be documented, what the repository may depend on.
//
// A rule is a function from the source tree to findings, with the reason for it, which every failure
// prints. Each rule is also run on small broken trees (testdata/*.txtar), because a rule that never
// fails proves nothing. What breaks a rule for a good reason stands in exceptions.txt with that
// reason; an entry that is no longer needed fails the tests, so the list can only shrink.
//
// Nothing imports this package.
package tidy
