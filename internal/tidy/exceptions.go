package tidy

import (
	"fmt"
	"strings"
)

// rules lists every rule that is judged from the tree alone.
func rules() []rule {
	return []rule{
		ruleCompiles(),
		ruleRooms(), ruleNames(), ruleFloors(), ruleBans(), ruleSpawn(),
		rulePureImports(), rulePureSyntax(), rulePureMaps(), ruleFloats(),
		ruleFunctionSize(), ruleFileSize(), rulePackageSize(), ruleInterfaceSize(), ruleResults(),
		rulePackageDocs(), ruleExportedDocs(),
		ruleInit(), ruleGlobals(),
		ruleSleep(), ruleSkip(),
		rulePaths(), ruleHosts(), ruleMarks(), ruleLinks(),
	}
}

// exception lets one subject break one rule.
type exception struct {
	rule, subject, reason string
	line                  int
}

// parseExceptions reads lines of "rule subject: reason"; # begins a comment line.
func parseExceptions(text string) ([]exception, error) {
	var out []exception
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		head, reason, _ := strings.Cut(line, ": ")
		name, subject, ok := strings.Cut(head, " ")
		if !ok || len(strings.Fields(reason)) < 3 {
			return nil, fmt.Errorf("line %d: %q is not \"rule subject: the reason in a sentence\"", n, line)
		}
		out = append(out, exception{rule: name, subject: strings.TrimSpace(subject), reason: reason, line: n})
	}
	return out, nil
}

// excuse removes the findings that an exception covers and returns the rest with the exceptions that
// covered nothing.
func excuse(name string, found []finding, exceptions []exception) (left []finding, unneeded []exception) {
	used := map[string]bool{}
	known := map[string]bool{}
	for _, e := range exceptions {
		if e.rule == name {
			known[e.subject] = true
		}
	}
	for _, f := range found {
		if known[f.subject] {
			used[f.subject] = true
		} else {
			left = append(left, f)
		}
	}
	for _, e := range exceptions {
		if e.rule == name && !used[e.subject] {
			unneeded = append(unneeded, e)
		}
	}
	return left, unneeded
}
