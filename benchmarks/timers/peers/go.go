// SPDX-License-Identifier: BSL-1.0

// A goroutine for each sleep: the question of ../question.hpp.
package main

import (
	"context"
	"math/rand"
	"sync"
	"sync/atomic"
	"time"
)

const canceled = 100_000

func lengths(sleeps int) []time.Duration {
	random := rand.New(rand.NewSource(1))
	all := make([]time.Duration, sleeps)
	for i := range all {
		all[i] = time.Duration(random.Intn(1_000_000)) * time.Microsecond
	}
	return all
}

func sleepAll(lengths []time.Duration) {
	var all sync.WaitGroup
	var woken int64
	all.Add(len(lengths))
	for _, length := range lengths {
		length := length
		go func() {
			begun := time.Now()
			time.Sleep(length)
			check(time.Since(begun) >= length, "not before its time")
			atomic.AddInt64(&woken, 1)
			all.Done()
		}()
	}
	all.Wait()
	check(int(woken) == len(lengths), "all wake")
}

func cancel() {
	row := newRow("timers", "cancel_tasks", canceled).inCPU()
	for row.again() {
		line, cancel := context.WithCancel(context.Background())
		var begun, ended sync.WaitGroup
		var told int64
		begun.Add(canceled)
		ended.Add(canceled)
		for i := 0; i < canceled; i++ {
			go func() {
				timer := time.NewTimer(time.Hour)
				begun.Done()
				select {
				case <-timer.C:
				case <-line.Done():
					timer.Stop()
					atomic.AddInt64(&told, 1)
				}
				ended.Done()
			}()
		}
		begun.Wait()
		row.begin()
		cancel()
		ended.Wait()
		check(told == canceled, "all were canceled")
	}
}

func main() {
	// Before everything else: memory that was used is used again.
	if wanted("memory") {
		all := lengths(1_000_000)
		before := statusOf("VmRSS")
		sleepAll(all)
		value("timers", "memory", float64(statusOf("VmHWM")-before)/float64(len(all)), len(all), "B")
	}
	cancel()
	for _, size := range []struct {
		name   string
		sleeps int
	}{{"sleeps_100000", 100_000}, {"sleeps_1000000", 1_000_000}} {
		all := lengths(size.sleeps)
		row := newRow("timers", size.name, size.sleeps).inCPU().slow(1)
		for row.again() {
			sleepAll(all)
		}
	}
}
