package wire

// Headers of HTTP with which servers that share a store say where the others are.
const (
	// LeaderHeader is where the leader is, a URL, on answers of servers that don't lead.
	LeaderHeader = "Reeve-Leader"
	// ServersHeader is where the servers are, URLs separated by commas.
	ServersHeader = "Reeve-Servers"
)
