// Package job holds the nouns of the trade: jobs, tasks, attempts, their states
// and causes, dependency conditions, resources, retry rules and error codes. It
// is pure: values in, values out.
package job
