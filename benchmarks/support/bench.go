// SPDX-License-Identifier: BSL-1.0

// What bench.hpp is for C++: how contenders in Go measure themselves. Compiled together with each.
//
//	row := newRow("channel", "capacity_1", 1_000_000)
//	for row.again() {
//		... // 1'000'000 units
//	}
//
// Allocations are not counted.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const contender = "go"

// check ends a contender that computes the wrong answer: it is not measured.
func check(right bool, what string) {
	if !right {
		fmt.Fprintln(os.Stderr, "wrong answer:", what)
		os.Exit(1)
	}
}

func wanted(name string) bool {
	only := os.Getenv("BENCH_ROW")
	return only == "" || only == name
}

func value(question, name string, perUnit float64, units int, unit string) {
	fmt.Printf("%s %s %s %.2f 0 %d %s\n", question, name, contender, perUnit, units, unit)
}

var started = time.Now()

func wall() int64 { return int64(time.Since(started)) }

// cpu is the processor time of all threads: goroutines run on whichever there is.
func cpu() int64 {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil, "getrusage")
	return used.Utime.Nano() + used.Stime.Nano()
}

type row struct {
	question, name          string
	units                   int
	clock                   func() int64
	warmUps, samples, taken int
	fastest, begun          int64
}

func newRow(question, name string, units int) *row {
	samples, err := strconv.Atoi(os.Getenv("BENCH_SAMPLES"))
	if err != nil {
		samples = 25
	}
	return &row{question: question, name: name, units: units, clock: wall, warmUps: 3, samples: samples}
}

// inCPU measures processor time.
func (r *row) inCPU() *row {
	r.clock = cpu
	return r
}

// slow is for samples that take long: one to warm up, and so many.
func (r *row) slow(samples int) *row {
	r.warmUps, r.samples = 1, samples
	return r
}

func (r *row) again() bool {
	stopped := r.clock()
	if !wanted(r.name) {
		return false
	}
	if r.taken > 0 && (r.fastest == 0 || stopped-r.begun < r.fastest) {
		r.fastest = stopped - r.begun
	}
	if r.taken == r.samples {
		value(r.question, r.name, float64(r.fastest)/float64(r.units), r.units, "ns")
		return false
	}
	if r.warmUps > 0 {
		r.warmUps--
	} else {
		r.taken++
	}
	r.begin()
	return true
}

// begin says that what this sample did until here was its preparation, and does not count.
func (r *row) begin() { r.begun = r.clock() }

// connectionsOf gives those that were inherited: their descriptors, a comma after each.
func connectionsOf(fds string) []net.Conn {
	var all []net.Conn
	for _, text := range strings.Split(strings.TrimSuffix(fds, ","), ",") {
		fd, err := strconv.Atoi(text)
		check(err == nil, "a descriptor")
		file := os.NewFile(uintptr(fd), "peer")
		peer, err := net.FileConn(file)
		check(err == nil, "a connection")
		file.Close()
		all = append(all, peer)
	}
	return all
}

// statusOf gives the number of KiB that /proc/self/status has under this name, in bytes.
func statusOf(name string) int {
	file, err := os.Open("/proc/self/status")
	check(err == nil, "/proc/self/status")
	defer file.Close()
	var kib int
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if n, _ := fmt.Sscanf(lines.Text(), name+": %d kB", &kib); n == 1 {
			return kib * 1024
		}
	}
	check(false, name)
	return 0
}
