-- A function that coroutines run, and that tables hold which the walk comes to later.
local M = load_module()
local all = {}
for i = 1, 20 do
    local co = coroutine.create(M.run)
    coroutine.resume(co)
    all[i] = { co = co, { { { { { run = M.run } } } } } }
end
reload()
for i = 1, 20 do
    expect(all[i][1][1][1][1][1].run, M.run)
    expect(select(2, coroutine.resume(all[i].co)), "old end")
end
expect((coroutine.wrap(M.run)()), "new")
