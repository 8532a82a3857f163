(******************************************************************************)
(*      The evaluator's lists are the sums of the theory                      *)
(*                                                                            *)
(* Over any commutative ring, what the evaluator makes of a layer is a sum    *)
(* over channels, kernel rows and kernel columns, plus a bias.                *)
(*                                                                            *)
(*   entry x c i j == the number of the tensor x at channel c, row i, column j*)
(*   meet x c r s == entry x c r s, or 0 where one of r, s is None            *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From Coq Require List PeanoNat.
From AlgebraicCNN.checker Require Import evaluator patterns shapes bridge notations.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Lemma nth_nil (A : Type) (d : A) i : List.nth i nil d = d. Proof. by case: i. Qed.

Section Lists.
Context {A B C : Type}.
Implicit Types (l m : list A).

Lemma nth_take (d : A) n i l : (i < n)%N -> List.nth i (List.firstn n l) d = List.nth i l d.
Proof. by elim: n i l => [|n IH] [|i] [|x l] //= i_n; apply: IH. Qed.
Lemma nth_drop (d : A) n i l : List.nth i (List.skipn n l) d = List.nth (n + i)%N l d.
Proof. by elim: n l => [|n IH] [|x l] //=; exact: nth_nil. Qed.
Lemma nth_cat (d : A) i l m : List.nth i (List.app l m) d =
  if (i < length l)%N then List.nth i l d else List.nth (i - length l)%N m d.
Proof. by elim: l i => [|x l IH] [|i] //=; rewrite IH ltnS subSS. Qed.
Lemma nth_maps (f : A -> B) d e l a : (a < length l)%N -> List.nth a (List.map f l) e = f (List.nth a l d).
Proof. by elim: l a => [|x l IH] [|a] //= al; apply: IH. Qed.
Lemma nth_map2 (f : A -> B -> C) d e z (l : list A) (m : list B) a : (a < length l)%N -> (a < length m)%N ->
  List.nth a (map2 f l m) z = f (List.nth a l d) (List.nth a m e).
Proof. by elim: l m a => [|x l IH] [|y m] [|a] //= al am; apply: IH. Qed.
Lemma nth_chop (d : A) n i : (i < n)%N -> forall fuel l a, (a < fuel)%N ->
  List.nth i (List.nth a (chop fuel n l) nil) d = List.nth (a * n + i)%N l d.
Proof.
move=> i_n; elim=> [|f IH] [|x l] a // af; first by rewrite [chop _ _ _]/= !nth_nil.
rewrite [chop _ _ _]/=; case: a af => [|a] af; first by rewrite [List.nth 0 _ _]/= nth_take.
by rewrite [List.nth a.+1 _ _]/= IH // nth_drop mulSn addnA.
Qed.
Lemma nth_concat (d : A) n (ls : list (list A)) q r : List.Forall (fun b => length b = n) ls ->
  (q < length ls)%N -> (r < n)%N -> List.nth (q * n + r)%N (List.concat ls) d = List.nth r (List.nth q ls nil) d.
Proof.
move=> F; elim: F q => [|b bs Lb F IH] [|q] //= qs rn; rewrite nth_cat Lb; first by rewrite rn.
by rewrite mulSn -addnA ltnNge leq_addr addKn IH.
Qed.
End Lists.

Lemma map2_lengths (A B C : Type) (f : A -> list B -> list C) n l m : (forall a b, length (f a b) = length b) ->
  List.Forall (fun b => length b = n) m -> List.Forall (fun b => length b = n) (map2 f l m).
Proof.
move=> E F; elim: F l => [|b m1 Lb _ IH] [|a l1] /=; constructor; [by rewrite E|exact: IH].
Qed.
Lemma nth_in (A : Type) (d : A) l i : (i < length l)%N -> List.In (List.nth i l d) l.
Proof. by move=> /ltP; exact: List.nth_In. Qed.
Lemma length_concat (A : Type) n (ls : list (list A)) : List.Forall (fun b => length b = n) ls ->
  length (List.concat ls) = (length ls * n)%N.
Proof. by elim=> [|b bs Lb _ IH] //=; rewrite List.app_length IH Lb mulSn. Qed.

Lemma nth_flat (A B : Type) (f : A -> list B) n (d : B) (e : A) l q r : (forall a, length (f a) = n) ->
  (q < length l)%N -> (r < n)%N -> List.nth (q * n + r)%N (List.flat_map f l) d = List.nth r (f (List.nth q l e)) d.
Proof.
move=> F ql rn; rewrite List.flat_map_concat_map (@nth_concat _ _ n) //.
- by rewrite (nth_maps _ e).
- by apply/List.Forall_forall => b /List.in_map_iff [a [<- _]].
by rewrite List.map_length.
Qed.

Section Sums.
Variable K : comRingType.
Local Notation image := (list (list K)).
Local Notation tensor := (list image).
Implicit Types (l : layer K) (im : image) (x y : tensor).

Definition entry x c i j : K := num (row (row x c) i) j.
Definition pixel im (r s : option nat) : K :=
  if r is Some i then if s is Some j then num (row im i) j else 0 else 0.
Definition meet x c r s : K := pixel (row x c) r s.

Lemma big_mul (F : nat -> K) m n : \sum_(0 <= z < m * n) F z = \sum_(0 <= i < m) \sum_(0 <= j < n) F (i * n + j)%N.
Proof.
elim: m => [|m IH]; first by rewrite mul0n !big_geq.
rewrite mulSnr (@big_cat_nat _ _ _ (m * n)) ?leq_addr //= IH big_nat_recr //=; congr (_ + _).
by rewrite -{1}[(m * n)%N]add0n big_addn addKn; apply: eq_bigr => j _; rewrite addnC.
Qed.

Lemma tap_pixel rs cs im u v : (u < length rs)%N -> (v < length cs)%N ->
  num (tap 0 rs cs im) (u * length cs + v)%N = pixel im (List.nth u rs None) (List.nth v cs None).
Proof.
move=> uN vN; rewrite tapP (nth_flat (n := length cs) _ None) //; last by case=> [i|]; rewrite /= List.map_length.
case: (List.nth u rs None) => [i|] /=; rewrite (nth_maps _ None) //.
Qed.
Lemma length_tap rs cs im : length (tap (0 : K) rs cs im) = (length rs * length cs)%N.
Proof. by rewrite tapP (uniform_length _ (length cs)) // => -[i|] /=; rewrite List.map_length. Qed.
Lemma nth_taps l im a b : (a < length (rows l))%N -> (b < length (cols l))%N ->
  row (taps 0 l im) (a * length (cols l) + b)%N = tap 0 (row (rows l) a) (row (cols l) b) im.
Proof.
move=> aN bN; rewrite /taps (nth_flat (n := length (cols l)) _ nil) ?(nth_maps _ nil) // => r.
by rewrite List.map_length.
Qed.
Lemma length_taps l im : length (taps (0 : K) l im) = (length (rows l) * length (cols l))%N.
Proof. by rewrite /taps (uniform_length _ (length (cols l))) // => r; rewrite List.map_length. Qed.

Lemma nth_total N n : (n < N)%N -> forall (ws : list K) (ts : image) (acc : list K),
  List.Forall (fun t => length t = N) ts -> length acc = N -> length ws = length ts ->
  num (total plus mult ws ts acc) n = \sum_(0 <= z < length ws) num ws z * num (row ts z) n + num acc n.
Proof.
move=> nN; elim=> [|k ws IH] [|t ts] acc //= F La Lw; first by rewrite big_geq // add0r.
have [Lt F'] : length t = N /\ List.Forall (fun t => length t = N) ts by inversion F.
have Lx : length (axpy plus mult k t acc) = N by rewrite /axpy map2_length ?Lt.
rewrite (IH ts) //; last by case: Lw.
rewrite big_nat_recl //= /axpy (nth_map2 _ 0 0) ?Lt ?La //.
by rewrite addrCA addrA.
Qed.

Lemma nth_channel l ts wb u v : (u < height l)%N -> (v < width l)%N ->
  List.Forall (fun t => length t = (height l * width l)%N) ts -> length wb.1 = length ts ->
  num (row (channel 1 plus mult l ts wb) u) v =
  \sum_(0 <= z < length ts) num wb.1 z * num (row ts z) (u * width l + v)%N + wb.2.
Proof.
move=> uh vw F L; have inside : (u * width l + v < height l * width l)%N.
  apply: (@leq_trans (u.+1 * width l)%N); first by rewrite mulSnr ltn_add2l.
  by rewrite leq_mul2r uh orbT.
rewrite /channel nth_chop //; last first.
  by apply: leq_ltn_trans inside; apply: leq_trans (leq_addr _ _); rewrite leq_pmulr // (leq_ltn_trans _ vw).
rewrite (nth_total inside) //; last exact: List.repeat_length.
by rewrite L (List.nth_indep _ _ (mult wb.2 1)) ?List.repeat_length ?List.nth_repeat ?mulr1 //; apply/ltP.
Qed.

Section Layer.
Variables (l : layer K) (x : tensor) (c h w : nat).
Let g := groups l.
Let co := length (kernel l).
Let cg := (c %/ g)%N.
Let og := (co %/ g)%N.
Let kh := length (rows l).
Let kw := length (cols l).
Hypotheses (xs : shaped_as (c, h, w) x) (c0 : (0 < c)%N) (reg : regular l) (g0 : (0 < g)%N).
Hypotheses (gc : (g %| c)%N) (go : (g %| co)%N) (Lb : length (bias l) = co).
Hypothesis ks : List.Forall (fun k => length k = (cg * (kh * kw))%N) (kernel l).

Theorem conv_sum o u v : (o < co)%N -> (u < height l)%N -> (v < width l)%N ->
  entry (conv 0 1 plus mult l x) o u v =
  \sum_(0 <= i < cg) \sum_(0 <= a < kh) \sum_(0 <= b < kw)
    num (row (kernel l) o) (i * (kh * kw) + (a * kw + b))%N *
    meet x (o %/ og * cg + i) (List.nth u (row (rows l) a) None) (List.nth v (row (cols l) b) None)
  + num (bias l) o.
Proof.
move=> oN uN vN; have [Lx _] := xs; have [regr regc] := reg.
have Eco : (g * og = co)%N by rewrite mulnC divnK.
have Ec : (g * cg = c)%N by rewrite mulnC divnK.
have og0 : (0 < og)%N by case: (posnP og) Eco oN => // ->; rewrite muln0 => <-.
have q_g : (o %/ og < g)%N by rewrite ltn_divLR // Eco.
have r_og : (o %% og < og)%N by rewrite ltn_mod.
set q := (o %/ og)%N in q_g *; set r := (o %% og)%N in r_og.
have oE : o = (q * og + r)%N by rewrite -divn_eq.
rewrite /entry /conv -/g -/co !divE // Lx -/cg -/og.
set met := chop g cg _; set kept := chop g og _.
have cgp : (0 < cg)%N by case: (posnP cg) Ec c0 => // ->; rewrite muln0 => <-.
have [Lm Fm] : length met = g /\ List.Forall (fun b => length b = cg) met.
  by apply: chop_length; [apply/ltP|exact: le_n|rewrite List.map_length Lx -Ec].
have [Lk Fk] : length kept = g /\ List.Forall (fun b => length b = og) kept.
  by apply: chop_length; [apply/ltP|exact: le_n|rewrite List.combine_length Lb -/co PeanoNat.Nat.min_id -Eco].
have inside n ls : List.Forall (fun b : list (list (list K)) => length b = n) ls -> (q < length ls)%N -> length (row ls q) = n.
  by move=> /List.Forall_forall F qN; apply/F/nth_in.
have Lmq : length (row met q) = cg by apply: inside; rewrite ?Lm.
have metP ts : List.In ts (row met q) -> exists im, ts = taps 0 l im.
  move=> I; have J : List.In (row met q) met by apply: nth_in; rewrite Lm.
  by have /List.in_map_iff [im [<- _]] := chop_in _ _ _ _ _ J I; exists im.
have Ft : List.Forall (fun ts => length ts = (kh * kw)%N) (row met q).
  by apply/List.Forall_forall => ts /metP [im ->]; rewrite length_taps.
set F := (fun ts ks => _).
have -> : row (List.concat (map2 F met kept)) o =
    channel 1 plus mult l (List.concat (row met q)) (row (kernel l) o, num (bias l) o).
  rewrite {1}oE (@nth_concat _ _ og) //; first last.
  - by rewrite map2_length ?Lm ?Lk.
  - by apply: map2_lengths => // ts kk; rewrite /F List.map_length.
  have Lkq : length (List.nth q kept nil) = og by move/List.Forall_forall: Fk; apply; apply: nth_in; rewrite Lk.
  rewrite (nth_map2 _ nil nil) ?Lm ?Lk // /F (nth_maps _ (nil, 0)) ?Lkq //; congr channel.
  by rewrite nth_chop // -oE List.combine_nth.
have Lr : length (row (kernel l) o) = (cg * (kh * kw))%N by move/List.Forall_forall: ks; apply; apply: nth_in.
have Lc : length (List.concat (row met q)) = (cg * (kh * kw))%N by rewrite (length_concat Ft) Lmq.
rewrite nth_channel //; first last.
- by rewrite /= Lr Lc.
- apply/List.Forall_forall => t /List.in_concat [ts [/metP [im ->] It]].
  by move/List.Forall_forall: (taps_regular 0 l im reg) => H; rewrite (H _ It).
rewrite Lc /= big_mul; congr (_ + _); apply: eq_big_nat => i /= iN.
rewrite big_mul; apply: eq_big_nat => a /= aN; apply: eq_big_nat => b /= bN; congr (_ * _).
have abN : (a * kw + b < kh * kw)%N.
  apply: (@leq_trans (a.+1 * kw)%N); first by rewrite mulSnr ltn_add2l.
  by rewrite leq_mul2r aN orbT.
have iq : (q * cg + i < c)%N.
  rewrite -Ec; apply: (@leq_trans (q.+1 * cg)%N); first by rewrite mulSnr ltn_add2l.
  by rewrite leq_mul2r q_g orbT.
rewrite (@nth_concat _ _ (kh * kw)) ?Lmq // nth_chop // (nth_maps _ nil) ?Lx // nth_taps //.
have Lrs : length (row (rows l) a) = height l by move/List.Forall_forall: regr; apply; apply: nth_in.
have Lcs : length (row (cols l) b) = width l by move/List.Forall_forall: regc; apply; apply: nth_in.
by rewrite -{1}Lcs tap_pixel ?Lrs ?Lcs.
Qed.
End Layer.
End Sums.

Print Assumptions conv_sum.
