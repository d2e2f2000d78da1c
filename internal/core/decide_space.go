package core

import "github.com/reeve-scheduler/reeve/internal/job"

func (s *State) decideNamespace(in Input, c PutNamespace) (d Decision, err error) {
	if err := job.CheckName(c.Name); err != nil {
		return d, refuse(job.Invalid, "namespace: %s", err)
	}
	n := s.spaces[c.Name]
	view := NamespaceView{NamespaceSet: NamespaceSet{Name: c.Name, Created: in.Now}}
	switch {
	case c.Create && n != nil:
		return d, refuse(job.Exists, "namespace %q exists already", c.Name)
	case c.Create && len(s.spaces) >= MaxNamespaces:
		return d, refuse(job.Refused, "there are %d namespaces; no more are allowed", len(s.spaces))
	case !c.Create:
		if n, err = s.space(c.Name); err != nil {
			return d, err
		}
		view = n.view()
	}
	e := view.NamespaceSet
	e.Policy = c.Change.Apply(e.Policy)
	if c.Paused != nil {
		e.Paused = *c.Paused
	}
	if err := s.checkPolicy("namespace "+c.Name, e.Policy.Check(), e.Policy == job.NamespacePolicy{}); err != nil {
		return d, err
	}
	if c.Create || e != view.NamespaceSet {
		d.Events = append(d.Events, e)
	}
	if c.Create {
		d.Events = append(d.Events, QueueSet{Namespace: c.Name, Name: DefaultName, Created: in.Now})
	}
	view.NamespaceSet = e
	d.Reply = view
	return d, nil
}

func (s *State) decideQueue(in Input, c PutQueue) (d Decision, err error) {
	n, err := s.space(c.Namespace)
	if err != nil {
		return d, err
	}
	if err := job.CheckName(c.Name); err != nil {
		return d, refuse(job.Invalid, "queue: %s", err)
	}
	q := n.queues[c.Name]
	view := QueueView{QueueSet: QueueSet{Namespace: c.Namespace, Name: c.Name, Created: in.Now}}
	switch {
	case c.Create && q != nil:
		return d, refuse(job.Exists, "queue %q exists already in namespace %s", c.Name, c.Namespace)
	case c.Create && len(n.queues) >= MaxQueues:
		return d, refuse(job.Refused, "namespace %s has %d queues; no more are allowed", c.Namespace, len(n.queues))
	case !c.Create:
		if q, err = n.queue(c.Name); err != nil {
			return d, err
		}
		view = q.view()
	}
	e := view.QueueSet
	e.Policy = c.Change.Apply(e.Policy)
	if c.Paused != nil {
		e.Paused = *c.Paused
	}
	if err := s.checkPolicy("queue "+c.Name, e.Policy.Check(), e.Policy == job.QueuePolicy{}); err != nil {
		return d, err
	}
	if c.Create || e != view.QueueSet {
		d.Events = append(d.Events, e)
	}
	view.QueueSet = e
	d.Reply = view
	return d, nil
}

// checkPolicy refuses a policy that is wrong, or that the cluster's format has no place for.
// bad is what the policy's own check says; plain that nothing is set in it.
func (s *State) checkPolicy(what string, bad error, plain bool) error {
	switch {
	case bad != nil:
		return refuse(job.Invalid, "%s: %s", what, bad)
	case plain:
		return nil
	}
	return s.checkFormat(FormatLimits, "the policy of "+what)
}
