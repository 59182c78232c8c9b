// Hits counts the requests in a web server's log, the most wanted path first.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	n := flag.Int("n", 10, "number of paths to show")
	flag.Parse()
	if err := run(flag.Args(), *n); err != nil {
		fmt.Fprintln(os.Stderr, "hits:", err)
		os.Exit(1)
	}
}

func run(files []string, n int) error {
	var count Count
	if len(files) == 0 {
		if err := count.Read(os.Stdin); err != nil {
			return err
		}
	}
	for _, name := range files {
		if err := readFile(&count, name); err != nil {
			return err
		}
	}
	_, err := io.WriteString(os.Stdout, count.Report(n))
	return err
}

func readFile(count *Count, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return count.Read(file)
}
