package main

import (
	"errors"
	"strconv"
	"strings"
)

// Request is one line of a log.
type Request struct {
	Method string
	Path   string // without the query string
	Status int
}

var errNoRequest = errors.New("this is no line of the common or combined log format")

// Parse reads a line of the common or combined log format:
//
//	192.0.2.7 - - [14/Mar/2025:10:03:11 +0000] "GET /feed.xml HTTP/1.1" 200 5120
func Parse(line string) (Request, error) {
	parts := strings.SplitN(line, `"`, 3)
	if len(parts) < 3 {
		return Request{}, errNoRequest
	}
	request := strings.Fields(parts[1])
	result := strings.Fields(parts[2])

	status, err := strconv.Atoi(result[0])
	if err != nil {
		return Request{}, errNoRequest
	}
	path, _, _ := strings.Cut(request[1], "?")
	return Request{Method: request[0], Path: path, Status: status}, nil
}
