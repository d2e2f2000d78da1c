package client

import (
	"context"
	"fmt"
	"strings"

	"github.com/reeve-scheduler/reeve/internal/job"
	"github.com/reeve-scheduler/reeve/internal/wire"

	reevev1 "github.com/reeve-scheduler/reeve/gen/reeve/v1"
)

// CreateQueue makes a queue that is served as how says; an empty namespace means default,
// here and below.
func (c *Client) CreateQueue(ctx context.Context, namespace, name string, how job.QueueChange) error {
	_, err := call(ctx, c, c.queues.Create, &reevev1.QueueServiceCreateRequest{Namespace: namespace, Name: name, Policy: wire.QueuePolicy(&how)})
	return err
}

// UpdateQueue changes how a queue is served, and returns it as it is then.
func (c *Client) UpdateQueue(ctx context.Context, namespace, name string, how job.QueueChange) (*Queue, error) {
	a, err := call(ctx, c, c.queues.Update, &reevev1.QueueServiceUpdateRequest{Namespace: namespace, Name: name, Policy: wire.QueuePolicy(&how)})
	return a.GetQueue(), err
}

// Queues returns the queues of a namespace.
func (c *Client) Queues(ctx context.Context, namespace string) ([]*Queue, error) {
	a, err := call(ctx, c, c.queues.List, &reevev1.QueueServiceListRequest{Namespace: namespace})
	return a.GetQueues(), err
}

// Queue returns one of them.
func (c *Client) Queue(ctx context.Context, namespace, name string) (*Queue, error) {
	all, err := c.Queues(ctx, namespace)
	if err != nil {
		return nil, err
	}
	return one(all, name, "queue")
}

// QueuePolicy is how a queue is served, with a weight of at least 1.
func QueuePolicy(q *Queue) job.QueuePolicy {
	c, err := wire.QueueChange(q.GetPolicy())
	if err != nil { // a newer server says what this program does not know
		c = job.QueueChange{}
	}
	p := c.Apply(job.QueuePolicy{})
	p.Weight = max(p.Weight, 1)
	return p
}

// PauseQueue keeps what waits in a queue from starting, or lets it go on.
func (c *Client) PauseQueue(ctx context.Context, namespace, name string, paused bool) error {
	if paused {
		_, err := call(ctx, c, c.queues.Pause, &reevev1.QueueServicePauseRequest{Namespace: namespace, Name: name})
		return err
	}
	_, err := call(ctx, c, c.queues.Resume, &reevev1.QueueServiceResumeRequest{Namespace: namespace, Name: name})
	return err
}

// CreateNamespace makes a namespace that is served as how says.
func (c *Client) CreateNamespace(ctx context.Context, name string, how job.NamespaceChange) error {
	_, err := call(ctx, c, c.namespaces.Create, &reevev1.NamespaceServiceCreateRequest{Name: name, Policy: wire.NamespacePolicy(&how)})
	return err
}

// UpdateNamespace changes how a namespace is served, and returns it as it is then.
func (c *Client) UpdateNamespace(ctx context.Context, name string, how job.NamespaceChange) (*Namespace, error) {
	a, err := call(ctx, c, c.namespaces.Update, &reevev1.NamespaceServiceUpdateRequest{Name: name, Policy: wire.NamespacePolicy(&how)})
	return a.GetNamespace(), err
}

// Namespaces returns the namespaces that the caller may see.
func (c *Client) Namespaces(ctx context.Context) ([]*Namespace, error) {
	a, err := call(ctx, c, c.namespaces.List, &reevev1.NamespaceServiceListRequest{})
	return a.GetNamespaces(), err
}

// Namespace returns one of them.
func (c *Client) Namespace(ctx context.Context, name string) (*Namespace, error) {
	all, err := c.Namespaces(ctx)
	if err != nil {
		return nil, err
	}
	return one(all, name, "namespace")
}

// NamespacePolicy is how a namespace is served, with a weight of at least 1.
func NamespacePolicy(n *Namespace) job.NamespacePolicy {
	c, err := wire.NamespaceChange(n.GetPolicy())
	if err != nil {
		c = job.NamespaceChange{}
	}
	p := c.Apply(job.NamespacePolicy{})
	p.Weight = max(p.Weight, 1)
	return p
}

// PauseNamespace keeps what waits in a namespace from starting, or lets it go on.
func (c *Client) PauseNamespace(ctx context.Context, name string, paused bool) error {
	if paused {
		_, err := call(ctx, c, c.namespaces.Pause, &reevev1.NamespaceServicePauseRequest{Name: name})
		return err
	}
	_, err := call(ctx, c, c.namespaces.Resume, &reevev1.NamespaceServiceResumeRequest{Name: name})
	return err
}

// Pools returns the pools that have workers or a policy, by name.
func (c *Client) Pools(ctx context.Context) ([]*Pool, error) {
	a, err := call(ctx, c, c.pools.List, &reevev1.PoolServiceListRequest{})
	return a.GetPools(), err
}

// Pool returns one of them.
func (c *Client) Pool(ctx context.Context, name string) (*Pool, error) {
	all, err := c.Pools(ctx)
	if err != nil {
		return nil, err
	}
	return one(all, name, "pool")
}

// UpdatePool changes how a pool is given away, and returns it as it is then. One that is known has
// workers or a policy.
func (c *Client) UpdatePool(ctx context.Context, name string, how job.PoolChange, known bool) (*Pool, error) {
	a, err := call(ctx, c, c.pools.Update, &reevev1.PoolServiceUpdateRequest{Name: name, Policy: wire.PoolPolicy(&how), Known: known})
	return a.GetPool(), err
}

// PoolPolicy is how a pool is given away.
func PoolPolicy(p *Pool) job.PoolPolicy {
	c, err := wire.PoolChange(p.GetPolicy())
	if err != nil { // a newer server says what this program does not know
		c = job.PoolChange{}
	}
	return c.Apply(job.PoolPolicy{})
}

// Keys calls fn for each concurrency key of a namespace, by key, or for those with a text.
func (c *Client) Keys(ctx context.Context, namespace, only string, fn func(*ConcurrencyKey) error) error {
	q := &reevev1.LimitServiceListRequest{Namespace: namespace, Key: only, PageSize: 1000}
	for {
		page, err := call(ctx, c, c.limits.List, q)
		if err != nil {
			return err
		}
		for _, k := range page.GetKeys() {
			if err := fn(k); err != nil {
				return err
			}
		}
		if q.PageToken = page.GetNextPageToken(); q.PageToken == "" {
			return nil
		}
	}
}

// ReleaseSlot takes a slot of a concurrency key from its holder, a job or the element whose
// attempt has it.
func (c *Client) ReleaseSlot(ctx context.Context, namespace, key, holder string) error {
	_, err := call(ctx, c, c.limits.Release, &reevev1.LimitServiceReleaseRequest{Namespace: namespace, Key: key, Holder: holder})
	return err
}

// one finds what has a name among all of its kind.
func one[M interface{ GetName() string }](all []M, name, kind string) (m M, err error) {
	const most = 20
	var known []string
	for _, x := range all {
		if x.GetName() == name {
			return x, nil
		}
		if len(known) <= most {
			known = append(known, x.GetName())
		}
	}
	if known == nil {
		return m, &job.Error{Code: job.NotFound, Message: fmt.Sprintf("%s %q does not exist; there is none", kind, name)}
	}
	if len(known) > most {
		known[most] = fmt.Sprintf("and %d more", len(all)-most)
	}
	return m, &job.Error{Code: job.NotFound, Message: fmt.Sprintf("%s %q does not exist; known: %s", kind, name, strings.Join(known, ", "))}
}
