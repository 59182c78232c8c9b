package main

import (
	"bufio"
	"fmt"
	"io"
	"sort"
	"strings"
)

// Count holds how often each path was asked for. The zero value is ready to use.
type Count struct {
	paths    map[string]int
	requests int
	errors   int
	unread   int
}

// Read adds every line of a log.
func (c *Count) Read(log io.Reader) error {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		c.add(lines.Text())
	}
	return lines.Err()
}

func (c *Count) add(line string) {
	request, err := Parse(line)
	if err != nil {
		c.unread++
		return
	}
	if c.paths == nil {
		c.paths = map[string]int{}
	}
	c.paths[request.Path]++
	c.requests++
	if request.Status >= 400 {
		c.errors++
	}
}

// Report is the table of the n most wanted paths, and a last line with the sums.
func (c *Count) Report(n int) string {
	paths := make([]string, 0, len(c.paths))
	for path := range c.paths {
		paths = append(paths, path)
	}
	sort.Slice(paths, func(i, j int) bool {
		if c.paths[paths[i]] != c.paths[paths[j]] {
			return c.paths[paths[i]] > c.paths[paths[j]]
		}
		return paths[i] < paths[j]
	})
	if len(paths) > n {
		paths = paths[:n]
	}

	var report strings.Builder
	for _, path := range paths {
		fmt.Fprintf(&report, "%6d  %s\n", c.paths[path], path)
	}
	fmt.Fprintf(&report, "%d requests, %d errors", c.requests, c.errors)
	if c.unread > 0 {
		fmt.Fprintf(&report, ", %d lines not understood", c.unread)
	}
	report.WriteString("\n")
	return report.String()
}
