// Package workspace makes what an attempt runs in and takes out what it leaves: the
// directory with its files, inputs and environment, the outputs and the artifacts.
package workspace
