package jobfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// TestExamples: every example is a job without notes of surprise, and its first
// line says what it shows.
func TestExamples(t *testing.T) {
	schema := compiledSchema(t)
	for name, text := range corpus(t, "../../examples", ".yaml") {
		result, err := Parse(name, text)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if _, err := validate(t, schema, name, text); err != nil {
			t.Errorf("the schema refuses %s: %v", name, err)
		}
		if !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s does not begin with a comment that says what it shows", name)
		}
		checkRoundTrip(t, result)
	}
}

// TestReferenceExamples: every YAML block of the reference is a job file. Blocks
// marked text are not, and are there to show messages.
func TestReferenceExamples(t *testing.T) {
	text, err := os.ReadFile("../../docs/jobfile.md")
	if err != nil {
		t.Fatal(err)
	}
	schema := compiledSchema(t)
	blocks := 0
	lines := strings.Split(string(text), "\n")
	for at := 0; at < len(lines); at++ {
		if lines[at] != "```yaml" {
			continue
		}
		start := at + 1
		for at++; at < len(lines) && lines[at] != "```"; at++ {
			continue
		}
		block := []byte(strings.Join(lines[start:at], "\n") + "\n")
		name := fmt.Sprintf("docs/jobfile.md, block at line %d", start+1)
		blocks++
		if _, err := Parse(name, block); err != nil {
			t.Errorf("%v\n%s", err, block)
			continue
		}
		if _, err := validate(t, schema, name, block); err != nil {
			t.Errorf("the schema refuses %s: %v", name, err)
		}
	}
	if blocks < 10 {
		t.Errorf("the reference has %d examples; is it still written in yaml blocks?", blocks)
	}
}

// everyKey is what the parser knows at the top and in a task.
func (p *parser) everyKey() []string {
	keys := []string{"tasks", "env", "files", "needs", "fetch"}
	for _, f := range append(p.jobFields(), p.taskFields(&job.Task{}, &place{})...) {
		keys = append(keys, f.key)
	}
	return keys
}

// TestReferenceIsComplete: the reference speaks of every key that the schema has.
func TestReferenceIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/jobfile.md")
	if err != nil {
		t.Fatal(err)
	}
	p := newParser("")
	for _, key := range p.everyKey() {
		if !strings.Contains(string(text), "`"+key+"`") {
			t.Errorf("docs/jobfile.md does not speak of `%s`", key)
		}
	}
}

// TestSchemaHasEveryKey: the schema knows the keys that the parser knows.
func TestSchemaHasEveryKey(t *testing.T) {
	for _, key := range newParser("").everyKey() {
		if !strings.Contains(string(Schema()), `"`+key+`": {`) {
			t.Errorf("the schema does not know %s", key)
		}
	}
}

// TestPublishedSchema: the copy that editors fetch is the one in the binary.
func TestPublishedSchema(t *testing.T) {
	golden(t, filepath.FromSlash("../../docs/schema/job.schema.json"), string(Schema()))
}
