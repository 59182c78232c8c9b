package main

import "testing"

func TestParse(t *testing.T) {
	tests := map[string]struct {
		line string
		want Request
	}{
		"common": {
			`192.0.2.7 - - [14/Mar/2025:10:03:11 +0000] "GET /feed.xml HTTP/1.1" 200 5120`,
			Request{"GET", "/feed.xml", 200},
		},
		"combined": {
			`192.0.2.7 - ann [14/Mar/2025:10:03:12 +0000] "POST /login HTTP/2.0" 302 0 "https://example.com/" "curl/8.5.0"`,
			Request{"POST", "/login", 302},
		},
		"query string": {
			`192.0.2.7 - - [14/Mar/2025:10:03:13 +0000] "GET /search?q=go HTTP/1.1" 404 19`,
			Request{"GET", "/search", 404},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(test.line)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestParseRefusesOtherLines(t *testing.T) {
	for _, line := range []string{
		"",
		"server restarted",
		`{"level":"info","msg":"listening"}`,
		`192.0.2.7 - - [14/Mar/2025:10:03:11 +0000] "GET / HTTP/1.1" OK 5120`,
	} {
		if got, err := Parse(line); err == nil {
			t.Errorf("%q was read as %+v", line, got)
		}
	}
}
