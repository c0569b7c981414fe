-- Not with failures: there would be too many.
local M = load_module()
local first, second = M.list, M.list.next
second.number = "run time"
reload()
expect(M.list, first)
expect(first.next, second)
expect(second.number, "run time")
local count, node = 0, M.list
while node do
    count, node = count + 1, node.added and node.next
end
expect(count, 50000)
