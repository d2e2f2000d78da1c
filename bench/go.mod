module github.com/reeve-scheduler/reeve/bench

go 1.26.0

require github.com/reeve-scheduler/reeve v0.0.0

require (
	connectrpc.com/connect v1.21.1 // indirect
	go.yaml.in/yaml/v4 v4.0.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/reeve-scheduler/reeve => ../
