package link

import (
	"encoding/json"
	"fmt"

	"github.com/reeve-scheduler/reeve/internal/job"
)

// CheckOutputs fails a result whose outputs nobody could read afterwards. It is not
// refused, because the worker would repeat it for ever.
func (r *Result) CheckOutputs() {
	if r.Outputs == nil {
		return
	}
	var outputs map[string]string
	var why string
	switch {
	case len(r.Outputs) > job.MaxOutput:
		why = fmt.Sprintf("the worker sent %d bytes of outputs; at most %d are kept", len(r.Outputs), job.MaxOutput)
	case json.Unmarshal(r.Outputs, &outputs) != nil:
		why = "the worker sent outputs that are not a JSON object of texts"
	default:
		return
	}
	r.Outputs = nil
	if r.Cause.Kind == job.CauseNone {
		r.Cause = job.Cause{Kind: job.CauseOutput, Detail: why}
	}
}
