import ExecboxWire
import Foundation
import Glibc
import Testing

@testable import ExecboxAgent

@Suite("The sandbox's control group")
struct ControlGroupTests {
    /// A folder with these files, gone with the last reference.
    private final class Folder {
        let path: String

        init(_ files: [String: String]) throws {
            var template = Array("/tmp/execbox-cgroup-XXXXXX".utf8CString)
            guard let made = mkdtemp(&template) else { throw TestAgent.Failure.cannot("mkdtemp", errno: errno) }
            path = String(cString: made)
            for (name, text) in files {
                let parts = name.split(separator: "/")
                for count in 1..<max(1, parts.count) { mkdir(path + "/" + parts.prefix(count).joined(separator: "/"), 0o755) }
                let file = open(path + "/" + name, O_WRONLY | O_CREAT, 0o644)
                _ = write(file, text, text.utf8.count)
                close(file)
            }
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    @Test("is read in version 2")
    func version2() throws {
        let folder = try Folder([
            "cgroup.controllers": "cpu memory", "cpu.stat": "usage_usec 1234\nuser_usec 1000\n", "memory.current": "5000\n",
            "memory.peak": "9000\n", "memory.max": "100000\n", "memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 1\n",
            "pids.current": "7\n", "membership": "0::/\n",
        ])
        let group = ControlGroup(root: folder.path, membership: folder.path + "/membership")
        let statistics = group.statistics(uptimeMicroseconds: 1)
        #expect(statistics.cpuMicroseconds == 1234)
        #expect(statistics.memoryBytes == 5000)
        #expect(statistics.memoryPeakBytes == 9000)
        #expect(statistics.memoryLimitBytes == 100_000)
        #expect(statistics.processCount == 7)
        #expect(statistics.oomKills == 2)
    }

    @Test("is read in version 1, at the mount's root when the membership names a path of the host's")
    func version1() throws {
        let folder = try Folder([
            "cpuacct/cpuacct.usage": "5000000\n", "memory/memory.usage_in_bytes": "11\n", "memory/memory.max_usage_in_bytes": "12\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
            "pids/pids.current": "3\n", "membership": "9:memory:/docker/0123\n8:pids:/docker/0123\n3:cpu,cpuacct:/docker/0123\n",
        ])
        let statistics = ControlGroup(root: folder.path, membership: folder.path + "/membership").statistics(uptimeMicroseconds: 1)
        #expect(statistics.cpuMicroseconds == 5000)
        #expect(statistics.memoryBytes == 11)
        #expect(statistics.memoryPeakBytes == 12)
        #expect(statistics.memoryLimitBytes == 0, "none")
        #expect(statistics.processCount == 3)
        #expect(statistics.oomKills == 4)
    }

    @Test("is read where the membership says, if that is there")
    func membership() throws {
        let folder = try Folder([
            "memory/memory.usage_in_bytes": "1\n", "memory/own/memory.usage_in_bytes": "2\n", "membership": "4:memory:/own\n",
        ])
        let group = ControlGroup(root: folder.path, membership: folder.path + "/membership")
        #expect(group.statistics(uptimeMicroseconds: 0).memoryBytes == 2)
    }

    @Test("counts nothing where there is none")
    func absent() {
        let statistics = ControlGroup(root: "/no/such", membership: "/no/such").statistics(uptimeMicroseconds: 5)
        #expect(statistics.memoryBytes == 0)
        #expect(statistics.cpuMicroseconds == 0)
        #expect(statistics.oomKills == 0)
        #expect(statistics.uptimeMicroseconds == 5)
    }

    @Test("leaves an eighth of the memory for output, at most 24 MiB, and smaller buffers before none")
    func budget() {
        #expect(BufferBudget(memoryLimitBytes: 0).limit == 24 << 20)
        #expect(BufferBudget(memoryLimitBytes: 8 << 30).limit == 24 << 20)
        let budget = BufferBudget(memoryLimitBytes: 8 << 20)
        #expect(budget.limit == 1 << 20)
        #expect(budget.fitting(256 * 1024) == 256 * 1024)
        budget.take(900 * 1024)
        #expect(budget.fitting(256 * 1024) == 64 * 1024)
        budget.take(100 * 1024)
        #expect(budget.fitting(256 * 1024) == nil)
        budget.giveBack(1000 * 1024)
        #expect(budget.used == 0)
    }

    @Test("and timers fire in order of their time, and not when cancelled")
    func timers() {
        var timers = Timers()
        var fired: [Int] = []
        var ids: [Timers.ID] = []
        for number in [5, 1, 4, 2, 3] { ids.append(timers.schedule(at: UInt64(number * 10)) { fired.append(number) }) }
        timers.cancel(ids[2])
        timers.cancel(ids[2])
        timers.cancel(nil)
        #expect(timers.nextDue() == 10)
        #expect(timers.takeDue(at: 9) == nil)
        while let action = timers.takeDue(at: 30) { action() }
        #expect(fired == [1, 2, 3])
        #expect(timers.nextDue() == 50)
        for number in 0..<1000 { timers.cancel(timers.schedule(at: UInt64(number), {})) }
        #expect(timers.nextDue() == 50)
    }
}
