-- How the hunters hunt.
--
-- They circle around the ship, faster and faster. Then they gather behind the ship, stand
-- still for a moment, and come all at once. The moment is what frightens: whoever sees them stop
-- knows what is next.
--
-- The flying itself is native (`game_logic/src/swarm/steer.rs`): a hunter has a goal and a pace,
-- which hold for one frame. Without this script hunters come straight at the ship.

local formations = require "lib.formations"

-- Try changing these while the game runs. ----------------------------------------------------

local RADIUS = 64 -- of the circle, units; try 25
local LEAD = 0.4 -- how far ahead on the circle each of them aims, radians; try -0.4
local HURRY = 0.1 -- how much farther with each second
local BEHIND = 48 -- how far behind the ship they gather, units
local GAP = 5 -- between two of them when they stand in line, units
local AHEAD = 0.5 -- how far ahead of the ship they aim, seconds; 0 is merciful
local OVERSHOOT = 45 -- how far beyond it they fly, units

-- Seconds of each mood, and how fast they fly in it, as a multiple of their speed in tuning.ron.
local MOODS = {
    circle = { seconds = 5.0, pace = 1.0, next = "gather" },
    gather = { seconds = 2.0, pace = 1.5, next = "hold" },
    hold = { seconds = 0.7, pace = 4.0, next = "dash" },
    dash = { seconds = 1.3, pace = 2.0, next = "circle" },
}

-- What follows is how they do it. -------------------------------------------------------------

-- What nobody changed while the game ran takes the value that is written here.
local M = { __reload = { untouched = "new" } }

M.mood = "circle"
M.since = 0 -- seconds in this mood
M.from = 0 -- direction from the ship to where they gather
M.marks = {} -- where each of them dashes to, by entity

-- Where a hunter of each mood goes: number `i` of `count`, which is at `x`, `y`.
local goal = {}

function goal.circle(_, _, ship, x, y)
    -- From where it is, so that nobody has to cross the middle.
    local angle = math.atan(y - ship.y, x - ship.x) + LEAD + HURRY * M.since
    return ship.x + math.cos(angle) * RADIUS, ship.y + math.sin(angle) * RADIUS
end

function goal.gather(i, count, ship)
    local x, y = formations.in_line(i, count, BEHIND, M.from, GAP)
    return ship.x + x, ship.y + y
end

function goal.hold(_, _, _, x, y)
    return x, y
end

function goal.dash(i, _, ship, x, y, pack)
    local hunter = pack:entity(i)
    local mark = M.marks[hunter]
    if not mark then
        -- Through where the ship will be, and on. Once chosen, it stays: whoever turns, escapes.
        local dx, dy = ship.x + ship.vx * AHEAD - x, ship.y + ship.vy * AHEAD - y
        local far = 1 + OVERSHOOT / math.max(1, math.sqrt(dx * dx + dy * dy))
        mark = { x = x + dx * far, y = y + dy * far }
        M.marks[hunter] = mark
    end
    return mark.x, mark.y
end

local function change(mood, ship)
    M.mood, M.since, M.marks = mood, 0, {}
    if mood == "gather" then
        -- Behind it; if it stands still, on the side where they gathered last.
        local is_flying = ship.vx * ship.vx + ship.vy * ship.vy > 25
        M.from = is_flying and math.atan(-ship.vy, -ship.vx) or M.from
    end
end

function M.update(dt)
    if world:resource("Game").paused or world:count("Hunter") == 0 then
        return
    end
    local entity, place = formations.ship()
    if not entity then
        return
    end
    local speed = world:get(entity, "Velocity")[1]
    local ship = { x = place.x, y = place.y, vx = speed.x, vy = speed.y }

    M.since = M.since + dt
    if M.since > MOODS[M.mood].seconds then
        change(MOODS[M.mood].next, ship)
    end

    local pack, x, y, to_x, to_y, pace = world:columns(
        "Position.1.x", "Position.1.y", "Hunter.goal.x", "Hunter.goal.y", "Hunter.pace"
    )
    local choose = goal[M.mood]
    for i = 1, #pack do
        to_x[i], to_y[i] = choose(i, #pack, ship, x[i], y[i], pack)
        pace[i] = MOODS[M.mood].pace
    end
    pack:write("Hunter.goal.x", to_x, "Hunter.goal.y", to_y, "Hunter.pace", pace)
end

-- For the inspector: `call hunters mood_now`.
function M.mood_now()
    return M.mood
end

return M
