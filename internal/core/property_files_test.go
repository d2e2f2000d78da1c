package core

// files are the jobs that the property tests submit: each feature, in company.
func files() []string {
	return []string{
		`run: "true"`,
		`name: urgent
run: "true"
priority: high
retry: {max_attempts: 3, on_timeout: 1, on_lost: 2, delay: 2s}`,
		`run: "true"
at_most_once: true
resources: {cpu: 2}`,
		`run: "true"
start_after: 5s
start_before: 20s
deadline: 60s
retry: {max_attempts: 5, delay: 30s}
lost_after: 10s`,
		`array: 0-5%2
run: "true"
max_fails: 1
retry: {max_attempts: 2, delay: 1s}`,
		`array: 0-5%3
run: "true"
max_fails: {count: 0, running: cancel, pending: run}`,
		`array: 0-3
run: "true"
max_fails: {percent: 50, running: cancel, pending: skip}
lost_after: never`,
		`run: "true"
deadline: 30s
resources: {cpu: 3}
grace: 5s`,
		`name: graph
tasks:
  a: {run: "true", retry: {max_attempts: 2, delay: 1s}}
  b: {needs: a, run: "true"}
  c: {needs: {a: failed}, run: "true"}
  d: {needs: {b: done, c: any}, run: "true"}
  e: {needs: {b: any, d: any}, run: "true"}`,
		`tasks:
  gate: {run: "true"}
  a: {array: 0-4%2, run: "true", max_fails: 2, retry: {max_attempts: 2, delay: 1s}}
  b: {array: 0-4, run: "true"}
  c: {array: 0-4%3, needs: {a: {each: succeeded}, b: {each: done}, gate: succeeded}, run: "true", retry: {on_lost: 5}}
  d: {array: 0-4, needs: {c: {each: any}}, run: "true"}
  e: {needs: {d: done}, run: "true"}`,
		`deadline: 2m
tasks:
  list: {run: "true", retry: {max_attempts: 2, delay: 1s}}
  a: {array: "${{ tasks.list.outputs.n }}", needs: list, run: "true", resources: {cpu: 2}}
  b: {array: "${{ tasks.list.outputs.n }}", needs: {list: succeeded, a: {each: succeeded}}, run: "true"}
  c: {needs: {a: any, b: any}, run: "true"}
  d: {array: {each: "${{ tasks.list.outputs.n }}"}, needs: {list: done}, run: "true"}`,
		`run: "true"
resources: {gpu: 2}
retry: {max_attempts: 2, on_lost: 5, delay: 1s}`,
		`array: 0-4
run: "true"
resources: {cpu: 0.5, gpu: 1, licence: 1}`,
		`array: 0-3%3
run: "true"
resources: {cpu: 0, disk: 2}`,
		`concurrency: one
run: "true"
grace: 5s
retry: {max_attempts: 2, delay: 1s}`,
		`concurrency: {key: one, conflict: cancel}
tasks:
  a: {run: "true", lost_after: 10s}
  b: {run: "true"}
  c: {needs: {a: any, b: any}, run: "true"}`,
		`concurrency: {key: "${{ params.who }}", limit: 2, conflict: cancel}
params: {who: {default: two}}
run: "true"`,
		`concurrency: {key: two, limit: 2, conflict: refuse}
priority: high
run: "true"`,
		`concurrency: {key: one, rate: {count: 1, per: 5s, burst: 2}, limit: 1}
tasks:
  a: {array: 0-2, run: "true", concurrency: {key: each, limit: 2}}
  b: {run: "true", concurrency: {key: each, limit: 2}, lost_after: 10s}`,
		`array: 0-5%4
run: "true"
start_after: 5s
retry: {max_attempts: 2, delay: 1s}
concurrency: {key: paced, rate: {count: 3, per: 10s}}`,
		`array: 0-5
run: "true"
resources: {memory: 1Gi}
retry: {max_attempts: 4, on_memory: 5, on_lost: 9, delay: 1s}`,
		`name: hungry
run: "true"
resources: {memory: 600Mi}
either: [{gpu: 1}, {cpu: 3, memory: 2Gi}, {licence: 1}]
retry: {max_attempts: 9, max_memory: 5Gi, delay: 1s}`,
		`tasks:
  a: {run: "true"}
  b: {needs: a, array: 0-4%3, run: "true", either: [{gpu: 2}, {cpu: 2}], retry: {max_attempts: 3, on_memory: 2, delay: 1s}}
  c: {needs: {b: {each: any}}, array: 0-4, run: "true", resources: {memory: 100Mi}, retry: {max_attempts: 5, delay: 1s}}
  d: {nodes: 2, run: "true", either: [{disk: 2}, {cpu: 2}], resources: {memory: 1Gi}, retry: {max_attempts: 5, delay: 1s}}`,
		`array: 0-4
run: "true"
apart: worker
retry: {max_attempts: 3, on_lost: 9, delay: 1s}`,
		`array: 0-5%4
run: "true"
apart: zone
spread: worker
priority: high`,
		`tasks:
  a: {array: 0-5, run: "true", spread: zone, resources: {cpu: 0.5}, either: [{gpu: 1}, {}]}
  b: {array: 0-5, needs: {a: {each: any}}, run: "true", apart: worker, at_most_once: true}`,
		`run: "true"
apart: {by: worker, key: disk}
retry: {max_attempts: 3, on_lost: 9, delay: 1s}`,
		`tasks:
  a: {array: 0-3, run: "true", apart: {by: worker, key: disk}, spread: zone}
  b: {run: "true", apart: {by: zone, key: web}, spread: {by: worker, key: web}}
  c: {array: 0-2, run: "true", apart: {by: zone, key: web}, resources: {cpu: 0.5}}`,
		`run: "true"
prefer: cheapest
timeout: 20s
deadline: 60s
retry: {max_attempts: 3, on_lost: 3, delay: 1s}`,
		`run: "true"
prefer: cheapest
timeout: 10s
deadline: 40s
start_before: 30s
resources: {cpu: 2}`,
		`deadline: 2m
name: thrifty
tasks:
  a: {array: 0-3, run: "true", prefer: [cheapest, {when: zone=b, weight: 1}], timeout: 5s, either: [{gpu: 1}, {}]}
  b: {needs: a, nodes: 2, run: "true", prefer: cheapest, timeout: 10s, retry: {max_attempts: 2}}`,
		`nodes: 2
run: "true"
retry: {max_attempts: 2, on_timeout: 1, on_lost: 4, delay: 1s}`,
		nearFiles()[0],
		nearFiles()[1],
		`nodes: 2
run: "true"
priority: high
at_most_once: true
deadline: 60s
grace: 5s`,
		`concurrency: one
tasks:
  a: {nodes: 3, run: "true", resources: {cpu: 2}, retry: {max_attempts: 3, on_lost: 9, delay: 2s}, lost_after: 10s}
  b: {nodes: 1, run: "true", needs: {a: any}, resources: {gpu: 1}}
  c: {nodes: 2, run: "true", needs: {a: failed}, retry: {max_attempts: 2}}
  d: {run: "true", needs: {b: any, c: any}}`,
		`tasks:
  a: {array: 0-5, run: "true", concurrency: {key: each, limit: 2}, retry: {max_attempts: 2, delay: 1s}}
  b: {run: "true", concurrency: {key: paced, rate: {count: 3, per: 10s}}}`,
	}
}

// nearFiles are jobs with tasks that are near others.
func nearFiles() []string {
	return []string{
		`tasks:
  a: {run: "true"}
  b: {array: 0-5, needs: {a: any}, run: "true", near: a, retry: {max_attempts: 2, on_lost: 3, delay: 1s}}
  c: {array: 0-5, needs: {b: {each: done}}, run: "true", near: [b, a], apart: worker}
  d: {needs: {b: any}, run: "true", near: b, either: [{gpu: 1}, {cpu: 2}]}
  e: {nodes: 2, needs: {d: any}, run: "true", retry: {max_attempts: 2, delay: 1s}}
  f: {array: 0-2, needs: {e: any}, run: "true", near: [e, d], spread: zone}`,
		`tasks:
  a: {array: 0-2, run: "true", resources: {cpu: 0.5}}
  b: {array: 0-2, needs: {a: {each: succeeded}}, run: "true", near: a}
  c: {array: 0-2, needs: {b: {each: done}}, run: "true", near: a, resources: {cpu: 2}}`,
		`tasks:
  a: {nodes: 2, run: "true", retry: {max_attempts: 3, on_lost: 9, delay: 1s}}
  b: {array: 0-3, needs: {a: any}, run: "true", near: a}`,
	}
}
