(******************************************************************************)
(*      Convolutions as torch states them, checked and made into patterns     *)
(*                                                                            *)
(* Nothing is padded or cut to make a network fit: a layer with a list of the *)
(* wrong length, a feed from a value that is not there yet, groups that do not*)
(* divide, or a mirror longer than the image, is refused.                     *)
(*                                                                            *)
(*   source mode n before j == what position j of the padded axis copies      *)
(*   axis == before, after, extent (of the kernel), stride, dilation          *)
(*   compile shapes l == the layer of a convolution and the shape of its      *)
(*              result, or None if it is not well-formed                      *)
(*   network c h w ls == the whole network, or None                           *)
(******************************************************************************)
Require Import List Arith Bool Lia.
From AlgebraicCNN.checker Require Import evaluator.
Import ListNotations.

Inductive mode := Zeros | Reflect | Replicate | Circular.
Record axis := Axis { before : nat; after : nat; extent : nat; stride : nat; dilation : nat }.
Record convolution (R : Type) := Convolution {
  from : list (nat * R);
  padding : mode;
  vertical : axis;
  horizontal : axis;
  split : nat;
  kernels : list (list R);
  biases : list R }.
Arguments Convolution {R}.
Arguments from {R}.
Arguments padding {R}.
Arguments vertical {R}.
Arguments horizontal {R}.
Arguments split {R}.
Arguments kernels {R}.
Arguments biases {R}.

Definition inside (n i : nat) : option nat := if i <? n then Some i else None.
Definition source (m : mode) (n before j : nat) : option nat :=
  match m with
  | Zeros => if before <=? j then inside n (j - before) else None
  | Reflect => inside n (if j <? before then before - j
                         else if j - before <? n then j - before
                         else 2 * (n - 1) - (j - before))
  | Replicate => inside n (Nat.min (j - before) (n - 1))
  | Circular => inside n ((j + before * (n - 1)) mod n)
  end.
Definition size (n : nat) (a : axis) : nat :=
  (before a + n + after a - (dilation a * (extent a - 1) + 1)) / stride a + 1.
Definition pattern (m : mode) (n : nat) (a : axis) : list (list (option nat)) :=
  map (fun t => map (fun u => source m n (before a) (u * stride a + t * dilation a)) (seq 0 (size n a)))
      (seq 0 (extent a)).
Definition fits (m : mode) (n : nat) (a : axis) : bool :=
  (0 <? n) && (0 <? extent a) && (0 <? stride a) && (0 <? dilation a)
  && (dilation a * (extent a - 1) <? before a + n + after a)
  && match m with
     | Zeros | Replicate => true
     | Reflect => (before a <? n) && (after a <? n)
     | Circular => (before a <=? n) && (after a <=? n)
     end.

Definition shape := (nat * nat * nat)%type.
Definition same_shape (s s' : shape) : bool :=
  match s, s' with (c, h, w), (c', h', w') => (c =? c') && (h =? h') && (w =? w') end.
Definition entering {R} (shapes : list shape) (ss : list (nat * R)) : option shape :=
  match ss with
  | [] => None
  | s :: _ =>
    match nth_error shapes (fst s) with
    | Some q => if forallb (fun s => match nth_error shapes (fst s) with Some q' => same_shape q q' | None => false end) ss
                then Some q else None
    | None => None
    end
  end.
Definition compile {R} (shapes : list shape) (l : convolution R) : option (layer R * shape) :=
  match entering shapes (from l) with
  | Some (c, h, w) =>
    let g := split l in
    let o := length (kernels l) in
    if (0 <? g) && (0 <? o) && (c mod g =? 0) && (o mod g =? 0)
       && fits (padding l) h (vertical l) && fits (padding l) w (horizontal l)
       && (length (biases l) =? o)
       && forallb (fun k => length k =? c / g * (extent (vertical l) * extent (horizontal l))) (kernels l)
    then Some (Layer (from l) (pattern (padding l) h (vertical l)) (pattern (padding l) w (horizontal l)) g
                     (kernels l) (biases l),
               (o, size h (vertical l), size w (horizontal l)))
    else None
  | None => None
  end.
Fixpoint compile_all {R} (shapes : list shape) (ls : list (convolution R)) : option (list (layer R) * list shape) :=
  match ls with
  | [] => Some ([], shapes)
  | l :: ls' =>
    match compile shapes l with
    | Some (k, q) =>
      match compile_all (shapes ++ [q]) ls' with Some (ks, qs) => Some (k :: ks, qs) | None => None end
    | None => None
    end
  end.
Definition network {R} (c h w : nat) (ls : list (convolution R)) : option (list (layer R) * list shape) :=
  if (0 <? c) && (0 <? h) && (0 <? w) then compile_all [(c, h, w)] ls else None.
