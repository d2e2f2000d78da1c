package tidy

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// lockFile reports whether a tool wrote the file and would write it again.
func lockFile(name string) bool {
	base := path.Base(name)
	return base == "go.sum" || base == "package-lock.json"
}

// lineRule finds lines of any text file that match a pattern.
func lineRule(name, why, pattern string, applies func(file string) bool) rule {
	re := regexp.MustCompile(pattern)
	return rule{name: name, why: why, check: func(t *tree) (out []finding) {
		for _, file := range sortedKeys(t.texts) {
			if !applies(file) {
				continue
			}
			n := 0
			for line := range bytes.Lines(t.texts[file]) {
				n++
				if m := re.Find(line); m != nil {
					out = append(out, finding{file, fmt.Sprintf("%s:%d", file, n), fmt.Sprintf("%q", m)})
				}
			}
		}
		return out
	}}
}

// The patterns bracket a letter here and there so that they do not find themselves.

func rulePaths() rule {
	return lineRule("paths",
		"the repository is the same on every machine; a path of one of them works on that one alone.",
		`(^|[^A-Za-z0-9_.~-])(/[h]ome/[A-Za-z0-9_]|/[U]sers/[A-Za-z0-9_]|/[r]oot/|/[w]ork/(main|shared)|[A-Z]:\\[U]sers)`,
		func(file string) bool { return !strings.Contains(file, "testdata/") })
}

func ruleHosts() rule {
	return lineRule("hosts",
		"where packages come from is the setting of each machine (a mirror, a proxy, none at all), not of the repository.",
		`([p]roxy\.golang\.org|[s]um\.golang\.org|[r]egistry\.(npmjs|yarnpkg)\.|[d]eb\.debian\.org|[s]ecurity\.debian\.org|[a]rchive\.ubuntu\.com|[p]ypi\.org|[p]ythonhosted\.org|[r]egistry-1\.docker\.io|[i]ndex\.docker\.io)`,
		func(file string) bool {
			return path.Base(file) != "go.sum" && !strings.HasPrefix(file, "internal/tidy/testdata/")
		})
}

func ruleMarks() rule {
	return lineRule("marks",
		"a note to do something later is done by whom? Write T"+"ODO(name), or do it, or leave it.",
		`\b(T[O]DO|FIX[M]E|X[X]X|HA[C]K)\b([^(]|$)`,
		func(file string) bool { return !lockFile(file) && !strings.Contains(file, "testdata/") })
}

func ruleLinks() rule {
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`)
	return rule{
		name: "links",
		why:  "a document that points at nothing has been left behind by the code.",
		check: func(t *tree) (out []finding) {
			for _, file := range sortedKeys(t.texts) {
				if path.Ext(file) != ".md" {
					continue
				}
				for _, m := range link.FindAllSubmatch(t.texts[file], -1) {
					if target := path.Join(path.Dir(file), string(m[1])); !t.exists(target) {
						out = append(out, finding{file, file, "no such file or folder: " + string(m[1])})
					}
				}
			}
			return out
		},
	}
}

// exists reports whether a text file or a folder with one is tracked.
func (t *tree) exists(name string) bool {
	if _, ok := t.texts[name]; ok {
		return true
	}
	for file := range t.texts {
		if strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
}
