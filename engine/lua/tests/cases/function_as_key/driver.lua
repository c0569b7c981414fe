local M = load_module()
local mine = { [M.first] = "mine" }
M.weights[M.first] = 5
reload()
expect(M.weights[M.first], 5)
expect(mine[M.first], "mine")
expect(next(mine)(), "new first")
local count = 0
for key, weight in pairs(M.weights) do
    count = count + 1
    expect(key():sub(1, 3), "new")
end
expect(count, 2)
