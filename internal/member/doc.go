// Package member is one server's part among several that share a store: it follows, and
// leads when it has won the lease. To whoever asks it is one engine all the time. A server
// that finds that history was lost sees to it that the next term begins another generation.
package member
