package main

import (
	"strings"
	"testing"
)

const log = `192.0.2.7 - - [14/Mar/2025:10:03:11 +0000] "GET / HTTP/1.1" 200 512
192.0.2.7 - - [14/Mar/2025:10:03:12 +0000] "GET /feed.xml HTTP/1.1" 200 5120
192.0.2.9 - - [14/Mar/2025:10:03:15 +0000] "GET /feed.xml HTTP/1.1" 304 0
192.0.2.9 - - [14/Mar/2025:10:03:16 +0000] "GET /about HTTP/1.1" 404 19
server restarted
`

func TestReport(t *testing.T) {
	tests := map[string]struct {
		n    int
		want string
	}{
		"all": {10, "     2  /feed.xml\n     1  /\n     1  /about\n" +
			"4 requests, 1 errors, 1 lines not understood\n"},
		"the first": {1, "     2  /feed.xml\n4 requests, 1 errors, 1 lines not understood\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var count Count
			if err := count.Read(strings.NewReader(log)); err != nil {
				t.Fatal(err)
			}
			if got := count.Report(test.n); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
		})
	}
}

func TestReportOfNothing(t *testing.T) {
	var count Count
	if got := count.Report(10); got != "0 requests, 0 errors\n" {
		t.Errorf("got %q", got)
	}
}
