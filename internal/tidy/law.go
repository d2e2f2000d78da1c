package tidy

import "strings"

// room is one package of the house: what it is for and how high it stands.
type room struct {
	dir   string
	floor int
	// pure rooms compute: values in, values out.
	pure bool
	// says is the room's one responsibility, word for word the same in ARCHITECTURE.md.
	says string
}

// rooms is the whole house, planned rooms included. Imports only go down.
func rooms() []room {
	return []room{
		{dir: "internal/job", floor: 0, pure: true, says: "jobs, tasks, attempts, resources, dependencies, retry rules; legal transitions and the truth table; error codes"},
		{dir: "internal/jobfile", floor: 0, pure: true, says: "text to a checked canonical spec: grammar, positions, defaults, schema"},
		{dir: "internal/jobfile/canon", floor: 0, pure: true, says: "the one text of a checked job, which is hashed and recorded"},
		{dir: "internal/jobfile/expr", floor: 0, pure: true, says: "expressions in job files: paths to parameters, outputs and elements, and their values"},
		{dir: "internal/jobfile/foreign", floor: 0, pure: true, says: "the words of other systems' job files, and what Reeve says for them"},
		{dir: "internal/jobfile/tree", floor: 0, pure: true, says: "YAML and JSON to one tree of values with their positions"},
		{dir: "internal/element", floor: 0, pure: true, says: "packed sets and chunks of array elements"},
		{dir: "internal/cron", floor: 0, pure: true, says: "text to a schedule; the next time after t, in a zone"},
		{dir: "internal/workload", floor: 0, pure: true, says: "jobs to simulate: logs in the Standard Workload Format, the Lublin–Feitelson model, lists of tasks"},
		{dir: "internal/match", floor: 0, pure: true, says: "of which workers an entry of a task's where is true"},
		{dir: "internal/auth", floor: 0, pure: true, says: "tokens, roles, and \"may this subject do this?\" as a pure question"},
		{dir: "internal/plan/tournament", floor: 0, pure: true, says: "a tree that finds the best of those that are large enough"},
		{dir: "internal/plan/pile", floor: 0, pure: true, says: "what waits, by name and by number: a million groups without a pointer"},
		{dir: "internal/plan/usage", floor: 0, pure: true, says: "what somebody has used, and how it is forgotten"},
		{dir: "internal/plan/why", floor: 0, pure: true, says: "what something ready waits for, in numbers and in words"},
		{dir: "internal/logline", floor: 0, says: "the frames that log text is cut into"},

		{dir: "internal/plan", floor: 1, pure: true, says: "which task next, on which worker, and why not: it proposes"},
		{dir: "internal/forecast", floor: 1, pure: true, says: "what will start when, as far as is known: the plan itself in virtual time"},
		{dir: "internal/limit", floor: 1, pure: true, says: "concurrency keys, rates and quotas"},
		{dir: "internal/predict", floor: 1, pure: true, says: "learned run time and memory"},
		{dir: "internal/core", floor: 1, pure: true, says: "the state machine: decide, events, apply; it checks every proposal again"},
		{dir: "internal/classic", floor: 1, pure: true, says: "scheduling policies of the literature, for one machine of processors"},
		{dir: "internal/outcome", floor: 1, pure: true, says: "what a simulated run came to: waits, slowdowns, use, fairness, deadlines, cost"},
		{dir: "internal/store", floor: 1, says: "what persistence must promise: a journal and tables"},
		{dir: "internal/blob", floor: 1, says: "what a place for large bytes must promise"},
		{dir: "internal/executor", floor: 1, says: "what running an attempt must promise"},
		{dir: "internal/link", floor: 1, says: "what server and worker say to each other, in domain words"},

		{dir: "internal/record", floor: 2, says: "the codec of events and rows, in a versioned format of its own"},
		{dir: "internal/record/digest", floor: 2, says: "whether two copies of a state are the same, a part at a time"},
		{dir: "internal/record/format", floor: 2, says: "which format of the store each event and row needs"},
		{dir: "internal/record/field", floor: 2, says: "fields of protobuf messages, written and read by hand"},
		{dir: "internal/store/sqlstore", floor: 2, says: "the store in SQL, written once, with a dialect per database"},
		{dir: "internal/store/sqlstore/agreement", floor: 2, says: "what the servers that share a database agree on, in PostgreSQL's SQL"},
		{dir: "internal/store/sqlstore/file", floor: 2, says: "the files of an SQLite database: whose they are, and what becomes of them"},
		{dir: "internal/store/sqlstore/schema", floor: 2, says: "the schemas: numbered steps, what applies them, and the tables of a partition"},
		{dir: "internal/store/sqlstore/seal", floor: 2, says: "how rows stand in columns and are read again, and what their checksums cover"},
		{dir: "internal/store/sqlstore/parcel", floor: 2, says: "what is read of jobs on its way to who takes it in"},
		{dir: "internal/store/sqlstore/sieve", floor: 2, says: "roughly which idempotency keys a partition has, so that few are looked up"},
		{dir: "internal/store/sqlstore/postgres", floor: 2, says: "PostgreSQL as a store meets it: how it is reached, what its errors mean, rows in bulk"},
		{dir: "internal/store/memstore", floor: 2, says: "the store in memory, for simulations and tests of the loop"},
		{dir: "internal/blob/dirblob", floor: 2, says: "blobs as files in a directory"},
		{dir: "internal/blob/cloudblob", floor: 2, says: "blobs as objects in a bucket"},
		{dir: "internal/executor/attemptlog", floor: 2, says: "the file in which an attempt's output waits to be shipped, of bounded size"},
		{dir: "internal/executor/process", floor: 2, says: "attempts as processes of the operating system"},
		{dir: "internal/executor/process/keeper", floor: 2, says: "the small process that owns the children and kills them at their deadline"},
		{dir: "internal/executor/process/keeperproto", floor: 2, says: "what an agent and its keeper say to each other over their socket"},
		{dir: "internal/executor/function", floor: 2, says: "attempts as functions of the user's own program"},
		{dir: "internal/logstore", floor: 2, says: "log segments: many small ones packed, tail, retention"},
		{dir: "internal/trust", floor: 2, says: "certificates: the cluster's own authority, and the fingerprint a join token carries"},
		{dir: "internal/simulate", floor: 2, pure: true, says: "a workload in virtual time: by a policy of the literature, or by the core and the plan themselves"},
		{dir: "internal/replica", floor: 2, says: "one server's copy of the core: tailing, views for readers, the watch hub"},
		{dir: "internal/leader", floor: 2, says: "a replica with the right to decide: loop, elector, projector, ticker, liveness"},
		{dir: "internal/member", floor: 2, says: "one server's part among several: it follows, leads when it holds the lease, and answers as either"},
		{dir: "internal/session", floor: 2, says: "the server's end of a worker: reconciliation and heartbeats"},
		{dir: "internal/tail", floor: 2, says: "the logs of many attempts at once, as they are written"},
		{dir: "internal/outlook", floor: 2, says: "forecasts of a server's own copy, as often as that may be, for who asks"},
		{dir: "internal/agent", floor: 2, says: "the worker: it does what its will decides, ships logs, repeats results"},
		{dir: "internal/agent/inventory", floor: 2, says: "what a machine has to give: processors, memory, disk, network, devices"},
		{dir: "internal/agent/will", floor: 2, pure: true, says: "what a worker decides: places, leases, reports, as a step machine"},
		{dir: "internal/agent/workspace", floor: 2, says: "what an attempt runs in, and what is taken out of it"},

		{dir: "internal/wire", floor: 3, says: "domain words to wire messages and back"},
		{dir: "internal/backup", floor: 3, says: "all that a store holds as one file, and such a file as a store"},
		{dir: "internal/forward", floor: 3, says: "what a server that does not lead can't answer goes on to the leader, and waits while there is none"},
		{dir: "internal/guard", floor: 3, says: "what stands before every call: who calls, what they may, and what one peer can take"},
		{dir: "internal/api", floor: 3, says: "handlers: what is asked, translated and looked up for the leader to decide"},
		{dir: "internal/api/intake", floor: 3, says: "a submit as it is asked for, checked and made a command"},
		{dir: "internal/api/jsonlines", floor: 3, says: "streams for plain HTTP clients: a JSON message a line"},
		{dir: "internal/api/spaces", floor: 3, says: "handlers for where jobs wait and run: queues, namespaces, pools and reservations, and what they may have"},
		{dir: "internal/api/later", floor: 3, says: "answers on a stream that wait until what they promise is kept"},
		{dir: "internal/client", floor: 3, says: "the client that command line, SDK and agents share"},
		{dir: "internal/metrics", floor: 3, says: "what a server and a worker count, for Prometheus"},
		{dir: "internal/web", floor: 3, says: "the embedded page"},

		{dir: "internal/demo", floor: 4, says: "the demonstration: a real graph over real data, with a worker killed on the way"},
		{dir: "internal/app", floor: 4, says: "from a config to a running server, worker or demo: picks implementations, orders shutdown"},
		{dir: "internal/cli", floor: 4, says: "the command line, one file per command"},
		{dir: "internal/cli/usage", floor: 4, says: "what is wrong with a command line, on one line that names the remedy"},
		{dir: "internal/cli/render", floor: 4, says: "what a command has to say: tables for people, JSON and YAML for programs"},
		{dir: "internal/cli/bars", floor: 4, says: "how jobs and uploads come along: bars on a terminal, lines elsewhere"},
		{dir: "internal/cli/items", floor: 4, says: "lines and JSON to the items of an array, as they come"},
		{dir: "internal/cli/course", floor: 4, says: "the commands that change the course of jobs: what ends them, keeps them from starting, and where they stand"},
		{dir: "internal/cli/fleet", floor: 4, says: "the commands for what a cluster runs on: servers, the format that they share, workers"},
		{dir: "internal/cli/outlook", floor: 4, says: "the commands that look ahead: why something waits, and what would happen"},
		{dir: "internal/cli/spaces", floor: 4, says: "the commands for where jobs wait and run: queues, namespaces, pools and reservations, and what they may have"},
		{dir: "internal/cli/stores", floor: 4, says: "the commands that copy whole stores: backup, restore, migrate-store"},
		{dir: "internal/cli/simulate", floor: 4, says: "the command simulate: where jobs come from, and tables and charts of how they fared"},
		{dir: "internal/cli/complete", floor: 4, says: "what may stand where a word is typed, as the server knows it"},
		{dir: ".", floor: 4, says: "the public Go SDK: client and function worker"},

		{dir: "cmd/reeve", floor: 5, says: "main"},
	}
}

// sideways lists the imports that stay on one floor, each with its reason. Everything else on one
// floor is separate so that it can be read, tested and replaced alone.
func sideways() map[[2]string]string {
	return map[[2]string]string{
		{"internal/jobfile", "internal/job"}:                                          "a job file is parsed into the nouns",
		{"internal/jobfile", "internal/jobfile/canon"}:                                "what was read is written down",
		{"internal/jobfile/canon", "internal/job"}:                                    "it is a job's text",
		{"internal/jobfile/canon", "internal/jobfile/tree"}:                           "texts are spelled as in job files",
		{"internal/jobfile", "internal/jobfile/expr"}:                                 "expressions are checked where they stand",
		{"internal/jobfile/expr", "internal/job"}:                                     "they stand in specs",
		{"internal/jobfile/expr", "internal/jobfile/tree"}:                            "numbers are read, and texts shown, as in the file",
		{"internal/jobfile", "internal/jobfile/foreign"}:                              "an unknown key may be known elsewhere",
		{"internal/jobfile", "internal/match"}:                                        "expressions over workers are checked where they stand",
		{"internal/jobfile", "internal/jobfile/tree"}:                                 "the grammar is written over the tree",
		{"internal/jobfile/tree", "internal/job"}:                                     "a wrong file is among the error codes",
		{"internal/workload", "internal/job"}:                                         "a list of tasks spells times and sizes as a job file does",
		{"internal/element", "internal/job"}:                                          "elements have the states and causes of the nouns",
		{"internal/auth", "internal/job"}:                                             "permission errors are among the error codes",
		{"internal/plan/pile", "internal/job"}:                                        "groups are named by jobs",
		{"internal/plan/why", "internal/job"}:                                         "needs and room are resources",
		{"internal/forecast", "internal/plan"}:                                        "a forecast is the plan let run on a copy",
		{"internal/forecast", "internal/limit"}:                                       "queues open in a forecast when their rates let them",
		{"internal/core", "internal/forecast"}:                                        "the core makes the copy that a forecast looks at",
		{"internal/core", "internal/plan"}:                                            "the core asks for proposals and checks them",
		{"internal/core", "internal/limit"}:                                           "what is committed keeps to the limits",
		{"internal/core", "internal/predict"}:                                         "what ended teaches the predictor",
		{"internal/agent", "internal/agent/inventory"}:                                "what nobody says that a worker has, it has as much of as its machine",
		{"internal/agent", "internal/agent/will"}:                                     "the agent does what its will decides",
		{"internal/agent", "internal/agent/workspace"}:                                "the agent has each attempt's directory made and emptied",
		{"internal/store/sqlstore", "internal/store/sqlstore/agreement"}:              "what servers agree on is SQL of its own, over the store's connections",
		{"internal/store/sqlstore", "internal/store/sqlstore/file"}:                   "SQLite's files stand apart from the shared SQL",
		{"internal/store/sqlstore", "internal/store/sqlstore/schema"}:                 "statements are written over the schema",
		{"internal/store/sqlstore", "internal/store/sqlstore/seal"}:                   "rows are written and read with their checksums",
		{"internal/store/sqlstore", "internal/store/sqlstore/parcel"}:                 "what it reads of jobs travels in them",
		{"internal/store/sqlstore", "internal/store/sqlstore/sieve"}:                  "most keys that are looked up are nobody's",
		{"internal/store/sqlstore/agreement", "internal/store/sqlstore/postgres"}:     "its statements travel as all do",
		{"internal/store/sqlstore", "internal/store/sqlstore/postgres"}:               "PostgreSQL's own ways stand apart from the shared SQL",
		{"internal/leader", "internal/replica"}:                                       "a leader is a replica with the right to decide",
		{"internal/member", "internal/leader"}:                                        "it leads by turns",
		{"internal/member", "internal/replica"}:                                       "it follows by turns",
		{"internal/leader", "internal/record"}:                                        "what the loop appends is encoded events",
		{"internal/tail", "internal/replica"}:                                         "attempts that begin and end are noticed through the hub",
		{"internal/tail", "internal/logstore"}:                                        "it reads the logs",
		{"internal/record/digest", "internal/record"}:                                 "states are the same whose rows are",
		{"internal/leader", "internal/record/digest"}:                                 "a leader says what its state comes to",
		{"internal/replica", "internal/record/digest"}:                                "a follower compares its state with that",
		{"internal/record", "internal/record/format"}:                                 "each event and row is written with the format that it needs",
		{"internal/record", "internal/record/field"}:                                  "events and rows are messages of fields",
		{"internal/replica", "internal/record"}:                                       "what a replica tails and loads is encoded events and rows",
		{"internal/executor/process", "internal/executor/process/keeper"}:             "the executor starts the keeper that owns its children",
		{"internal/executor/process", "internal/executor/process/keeperproto"}:        "both ends of the keeper's socket speak it",
		{"internal/executor/process/keeper", "internal/executor/process/keeperproto"}: "both ends of the keeper's socket speak it",
		{"internal/executor/function", "internal/executor/attemptlog"}:                "what an attempt prints is kept in one way",
		{"internal/executor/process/keeper", "internal/executor/attemptlog"}:          "what an attempt prints is kept in one way",
		{"internal/core", "internal/link"}:                                            "what the core decides is told to workers in these words",
		{"internal/api", "internal/api/intake"}:                                       "what is asked to be submitted is read there",
		{"internal/api/intake", "internal/wire"}:                                      "values travel in one way",
		{"internal/api", "internal/api/jsonlines"}:                                    "streams leave it as lines where a caller asks for them",
		{"internal/api", "internal/api/later"}:                                        "that a log is complete is said once it is kept",
		{"internal/forward", "internal/wire"}:                                         "servers tell clients where the others are by headers that both know",
		{"internal/api", "internal/api/spaces"}:                                       "its services are among the others",
		{"internal/api/spaces", "internal/guard"}:                                     "handlers ask who calls, and what they may do where",
		{"internal/api/spaces", "internal/wire"}:                                      "handlers translate through the one place that can",
		{"internal/api", "internal/guard"}:                                            "handlers ask who calls, and what they may do where",
		{"internal/api", "internal/wire"}:                                             "handlers translate through the one place that can",
		{"internal/client", "internal/wire"}:                                          "the client translates through the one place that can",
		{"internal/api", "internal/web"}:                                              "one port serves the API and the page",
		{"internal/cli", "internal/app"}:                                              "the commands server, worker and demo start an app",
		{"internal/cli", "internal/cli/usage"}:                                        "commands refuse in one voice",
		{"internal/cli", "internal/cli/render"}:                                       "commands print in one way",
		{"internal/cli", "internal/cli/bars"}:                                         "commands that wait show what they wait for",
		{"internal/cli", "internal/cli/items"}:                                        "the commands run and submit read the items of arrays",
		{"internal/cli", "internal/cli/fleet"}:                                        "the commands for servers and workers are its own",
		{"internal/cli/fleet", "internal/cli/usage"}:                                  "commands refuse in one voice",
		{"internal/cli/fleet", "internal/cli/render"}:                                 "commands print in one way",
		{"internal/cli", "internal/cli/course"}:                                       "the commands that change jobs are its own",
		{"internal/cli/course", "internal/cli/usage"}:                                 "commands refuse in one voice",
		{"internal/cli/course", "internal/cli/render"}:                                "commands print in one way",
		{"internal/cli", "internal/cli/outlook"}:                                      "the commands that look ahead are its own",
		{"internal/cli/outlook", "internal/cli/usage"}:                                "commands refuse in one voice",
		{"internal/cli/outlook", "internal/cli/render"}:                               "commands print in one way",
		{"internal/cli", "internal/cli/spaces"}:                                       "the commands for queues and namespaces are its own",
		{"internal/cli/spaces", "internal/cli/usage"}:                                 "commands refuse in one voice",
		{"internal/cli/spaces", "internal/cli/render"}:                                "commands print in one way",
		{"internal/cli", "internal/cli/stores"}:                                       "its commands are among the others",
		{"internal/cli/stores", "internal/app"}:                                       "they start an app",
		{"internal/cli/stores", "internal/cli/usage"}:                                 "commands refuse in one voice",
		{"internal/cli/stores", "internal/cli/render"}:                                "commands print in one way",
		{"internal/cli", "internal/cli/simulate"}:                                     "its command is among the others",
		{"internal/cli/simulate", "internal/cli/usage"}:                               "commands refuse in one voice",
		{"internal/cli/simulate", "internal/cli/render"}:                              "commands print in one way",
		{"internal/cli", "internal/cli/complete"}:                                     "shells ask the commands for words",
		{"internal/demo", "internal/cli/bars"}:                                        "the bars of the demonstration look like any command's",
		{"internal/cli/bars", "internal/cli/render"}:                                  "causes and counts look the same wherever they are shown",
		{"internal/cli", "internal/demo"}:                                             "the command demo runs it",
		{"internal/demo", "internal/app"}:                                             "the demonstration starts a real server",
	}
}

// ban keeps a library or a part of the standard library in the rooms that exist for it.
type ban struct {
	// prefix is an import path; everything below it is meant too.
	prefix string
	// except names rooms; one that ends in /... means all below.
	except []string
	// tests says that test files and test-only packages may import it anyway.
	tests  bool
	reason string
}

func bans() []ban {
	const (
		driver   = "which database is underneath is one room's secret; the rest keeps to the contract in internal/store"
		exec     = "a process that this room did not start is one that nobody kills at its deadline"
		wire     = "wire messages are a contract with other versions of ourselves; domain code that uses them can't change"
		terminal = "how things look on a terminal is the command line's business; a server has none"
		testing  = "a test library in the product is weight and licence that nobody asked for"
	)
	messages := []string{"internal/wire", "internal/guard", "internal/api", "internal/api/intake", "internal/api/spaces", "internal/client", "gen/..."}
	return []ban{
		{prefix: "C", reason: "one static binary for every platform: cgo would tie it to a C library and a compiler"},
		{prefix: "database/sql", except: []string{"internal/store/sqlstore/..."}, tests: true, reason: driver},
		{prefix: "github.com/jackc/pgx", except: []string{"internal/store/sqlstore/..."}, tests: true, reason: driver},
		{prefix: "modernc.org/sqlite", except: []string{"internal/store/sqlstore", "internal/store/sqlstore/file"}, tests: true, reason: driver},
		{prefix: "github.com/minio", except: []string{"internal/blob/cloudblob"}, reason: "what a bucket's service speaks is one room's secret; the rest keeps to the contract in internal/blob"},
		{prefix: "github.com/Azure", except: []string{"internal/blob/cloudblob"}, tests: true, reason: "what a bucket's service speaks is one room's secret; the rest keeps to the contract in internal/blob"},
		{prefix: "cel.dev", except: []string{"internal/match"}, tests: true, reason: "what an expression may say and cost is bounded in one room"},
		{prefix: "os/exec", except: []string{"internal/executor/process/...", "internal/agent/inventory", "internal/demo"}, tests: true, reason: exec},
		{prefix: module + "/gen/reeve/record", except: []string{"internal/record", "gen/..."}, reason: "the format on disk is one room's secret, so that it can be read for ever"},
		{prefix: module + "/gen/reeve/v1", except: messages, tests: true, reason: wire},
		{prefix: "connectrpc.com/connect", except: append(messages, "internal/app", "internal/api/jsonlines"), tests: true, reason: wire},
		{prefix: "google.golang.org/protobuf", except: append(messages, "internal/record", "internal/record/field"), tests: true, reason: wire},
		{prefix: "github.com/prometheus", except: []string{"internal/metrics"}, tests: true, reason: "what is counted is told to an observer; who counts, and for whom, is one room's secret"},
		{prefix: "go.yaml.in/yaml", except: []string{"internal/jobfile/tree", "internal/cli/render", "internal/app"}, tests: true, reason: "YAML is a spelling of the job file; inside there is one canonical spec"},
		{prefix: "github.com/spf13", except: []string{"internal/cli", "internal/cli/usage", "internal/cli/complete", "internal/cli/course", "internal/cli/fleet", "internal/cli/outlook", "internal/cli/simulate", "internal/cli/spaces", "internal/cli/stores", "cmd/reeve"}, reason: terminal},
		{prefix: "github.com/vbauerster/mpb", except: []string{"internal/cli/bars"}, reason: terminal},
		{prefix: "github.com/lmittmann/tint", except: []string{"internal/cli", "internal/app", "internal/demo"}, reason: terminal},
		{prefix: "golang.org/x/term", except: []string{"internal/cli", "internal/cli/bars"}, reason: terminal},
		{prefix: "github.com/google/go-cmp", tests: true, reason: testing},
		{prefix: "github.com/rogpeppe/go-internal", tests: true, reason: testing},
		{prefix: "go.uber.org/goleak", tests: true, reason: testing},
		{prefix: "pgregory.net/rapid", tests: true, reason: testing},
		{prefix: "testing", tests: true, reason: testing},
		{prefix: "net/http/pprof", reason: "importing it opens handlers on the default mux, behind no policy"},
		{prefix: "expvar", reason: "importing it opens handlers on the default mux, behind no policy"},
		{prefix: "log", reason: "log/slog, passed in as a *slog.Logger: a global logger can't say which server of a test spoke"},
		{prefix: "math/rand", reason: "use math/rand/v2 with a seed of your own, so that a run can be repeated"},
		{prefix: "io/ioutil", reason: "its functions live in io and os"},
		{prefix: "reflect", except: []string{"internal/jobfile", "internal/cli"}, tests: true, reason: "what reflection does the compiler can't check"},
	}
}

// covers reports whether the ban speaks of an import path. The bans of "log" and "math/rand" mean the
// package alone: log/slog and math/rand/v2 are what to use instead.
func (b ban) covers(p string) bool {
	if b.prefix == "log" || b.prefix == "math/rand" || b.prefix == "testing" {
		return p == b.prefix
	}
	return p == b.prefix || strings.HasPrefix(p, b.prefix+"/")
}

func (b ban) allows(dir string) bool {
	for _, e := range b.except {
		if below, ok := strings.CutSuffix(e, "/..."); ok && strings.HasPrefix(dir+"/", below+"/") || e == dir {
			return true
		}
	}
	return false
}
