// SPDX-License-Identifier: BSL-1.0

// sync.Mutex, and channels with room as semaphore and as events: the question of ../question.hpp.
package main

import (
	"runtime"
	"sync"
)

const locks, turns = 1_000_000, 300_000

func both(a, b func()) {
	var all sync.WaitGroup
	all.Add(2)
	for _, f := range []func(){a, b} {
		f := f
		go func() {
			f()
			all.Done()
		}()
	}
	all.Wait()
}

func main() {
	alone := newRow("sync", "mutex", locks)
	for alone.again() {
		var m sync.Mutex
		locked := 0
		for i := 0; i < locks; i++ {
			m.Lock()
			locked++
			m.Unlock()
		}
		check(locked == locks, "mutex")
	}

	inTurns := newRow("sync", "mutex_turns", 2*turns)
	for inTurns.again() {
		var m sync.Mutex
		inside, locked := 0, 0
		lock := func() {
			for i := 0; i < turns; i++ {
				m.Lock()
				inside++
				check(inside == 1, "one at a time")
				runtime.Gosched() // the other one comes to wait for it now
				inside--
				locked++
				m.Unlock()
			}
		}
		both(lock, lock)
		check(locked == 2*turns, "mutex_turns")
	}

	permits := newRow("sync", "semaphore", locks)
	for permits.again() {
		s := make(chan struct{}, 10)
		acquired := 0
		for i := 0; i < locks; i++ {
			s <- struct{}{}
			acquired++
			<-s
		}
		check(acquired == locks, "semaphore")
	}

	waking := newRow("sync", "event", 2*turns)
	for waking.again() {
		a, b := make(chan struct{}, 1), make(chan struct{}, 1)
		woken := 0
		wake := func(mine, other chan struct{}) func() {
			return func() {
				for i := 0; i < turns; i++ {
					<-mine
					woken++
					other <- struct{}{}
				}
			}
		}
		a <- struct{}{}
		both(wake(a, b), wake(b, a))
		check(woken == 2*turns, "event")
	}
}
