package plan

import "github.com/reeve-scheduler/reeve/internal/job"

type Index struct{}

func New() *Index                                                                  { return &Index{} }
func (x *Index) SetGroup(g Group, ready int64)                                     {}
func (x *Index) SetReady(id GroupID, ready int64) bool                             { return false }
func (x *Index) SetPaused(namespace, queue string, paused bool)                    {}
func (x *Index) SetWorker(w Worker)                                                {}
func (x *Index) RemoveWorker(id uint64)                                            {}
func (x *Index) Take(worker uint64, s Shape, prefetch, alone bool)                 {}
func (x *Index) Give(worker uint64, s Shape, prefetch, alone bool)                 {}
func (x *Index) Promote(worker uint64, s Shape)                                    {}
func (x *Index) Next() (Placement, bool)                                           { return Placement{}, false }
func (x *Index) Recalls(max int) []Recall                                          { return nil }
func (x *Index) Explain(id GroupID) Why                                            { return Why{} }
func (x *Index) Usage(worker uint64) (used job.Resources, running, prefetched int) { return }
func (x *Index) Check() error                                                      { return nil }

type Why struct{}

func (w Why) Lines() []string { return nil }
func (w Why) String() string  { return "" }
